// Which parameters of a model are trained, and how: OptimizerConfig's groups, frozen, layer_decay
// and encoder_learning_rate_multiplier.
#ifndef VIT_CORE_TRAIN_OPTIM_PARAMETER_PLAN_H_
#define VIT_CORE_TRAIN_OPTIM_PARAMETER_PLAN_H_

#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/train/optim/trained_part.h"
#include "vit/v1/training.pb.h"

namespace vit {

// How one parameter is trained.
struct ParameterTreatment {
  std::string name;
  bool frozen = false;
  bool decayed = false;  // HasWeightDecay, even if weight_decay is 0
  double learning_rate_multiplier = 1;
  double weight_decay = 0;
};

// Returns the treatment of each parameter of `module`, in the module's order. `config`: effective.
//
// A learning rate multiplier is the product of that of the first group whose patterns match the
// name, of layer_decay^(last layer - layer) and, outside the heads, of
// encoder_learning_rate_multiplier. Layers are those of timm's param_groups_layer_decay with its
// group_matcher of Vision Transformers, see LayerOf.
//
// INVALID_ARGUMENT if a pattern matches no parameter (names a near one), or only parameters that
// are frozen or in an earlier group; if nothing is left to train; if layer_decay is not 1 and the
// module has no blocks; if the encoder multiplier is not 1 and no encoder is trained.
absl::StatusOr<std::vector<ParameterTreatment>> PlanParameters(
    const vit::v1::OptimizerConfig& config, const torch::nn::Module& module);

// Returns the layer of the parameter that timm calls `name` in a model of `depth` blocks: 0 for
// tokens, positions, patches and the norm before the blocks, i + 1 for block i, `depth` for the
// norm after the last block and norms that blocks share, depth + 1 for the rest.
int64_t LayerOf(const std::string& name, int64_t depth);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_PARAMETER_PLAN_H_
