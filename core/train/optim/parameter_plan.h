// Which parameters of a model are trained, and how: OptimizerConfig's groups, frozen, layer_decay
// and encoder_learning_rate_multiplier. Only for the rooms that compute.
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
  bool decayed = false;  // HasWeightDecay, whatever weight_decay is
  double learning_rate_multiplier = 1;
  double weight_decay = 0;
};

// The treatment of each parameter of `module`, in its order. `config`: effective.
//
// A multiplier is the product of that of the first group whose patterns match the name, of
// layer_decay^(last layer - layer) and, outside the heads, of encoder_learning_rate_multiplier.
// Layers are those of timm's param_groups_layer_decay with its group_matcher of Vision
// Transformers, see LayerOf.
//
// INVALID_ARGUMENT where a pattern matches no parameter (names a near one), or none that is not
// frozen or in an earlier group; where nothing is left to train; for a layer_decay other than 1
// where the module has no blocks; for an encoder multiplier where it has no encoder.
absl::StatusOr<std::vector<ParameterTreatment>> PlanParameters(
    const vit::v1::OptimizerConfig& config, const torch::nn::Module& module);

// The layer of the parameter of timm's name `name` in a model of `depth` blocks: 0 for tokens,
// positions, patches and the norm before the blocks, i + 1 for block i, `depth` for the norm after
// the last block and norms that blocks share, depth + 1 for the rest.
int64_t LayerOf(const std::string& name, int64_t depth);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_PARAMETER_PLAN_H_
