// Parameters in flat storage and the optimizers that update them.
#ifndef VIT_CORE_TRAIN_OPTIM_OPTIMIZER_H_
#define VIT_CORE_TRAIN_OPTIM_OPTIMIZER_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Copies the tensors of `state` into those of the same names in `into`. INVALID_ARGUMENT names a
// tensor that is missing or has another shape; then nothing is copied.
absl::Status CopyState(const TensorMap& state, const NamedTensors& into);

// Parameters that share a learning rate multiplier and a weight decay, moved into one flat tensor
// so that an update is one pass over memory. The module's parameters and their gradients become
// views of it; every view starts at a multiple of 64 bytes.
struct ParameterGroup {
  struct Member {
    std::string name;
    int64_t offset;  // elements
    std::vector<int64_t> shape;
  };
  std::vector<Member> members;
  at::Tensor values, gradients;  // [elements], float32
  double learning_rate_multiplier = 1;
  double weight_decay = 0;

  // Returns the part of `flat` (shaped like `values`) that belongs to `member`.
  static at::Tensor View(const at::Tensor& flat, const Member& member);
};

// Appends views of each group's part of `flat` (shaped like its values), under
// "prefix.<parameter>".
void AppendViews(const std::string& prefix, const std::vector<ParameterGroup>& groups,
                 const std::vector<at::Tensor>& flat, NamedTensors* out);

// Moves the trained parameters of `module`, which must be on their device already, into as few
// groups as their treatment allows (see PlanParameters): those with weight decay (see
// HasWeightDecay) first, then those without. Frozen ones stay where they are and no longer require
// a gradient. `config`: effective, and valid for this module (see PlanParameters).
std::vector<ParameterGroup> FlattenParameters(torch::nn::Module& module,
                                              const vit::v1::OptimizerConfig& config);

// One update rule and its state. Not thread-safe.
class Optimizer {
 public:
  // `config`: effective. The groups must outlive the optimizer.
  static std::unique_ptr<Optimizer> Create(const vit::v1::OptimizerConfig& config,
                                           std::vector<ParameterGroup>* groups);
  virtual ~Optimizer() = default;

  // Updates the values from the gradients divided by `grad_scale` (a float32 scalar on the device).
  // If `found_inf` (likewise) is not 0, neither values nor state change. Neither scalar is read on
  // the host. The gradients are used up: their values are meaningless afterwards.
  virtual void Step(double learning_rate, const at::Tensor& grad_scale,
                    const at::Tensor& found_inf) = 0;

  // Returns the state by name: "exp_avg.<parameter>" and so on, views of the live state in a fixed
  // order.
  virtual NamedTensors State() const = 0;

  // Copies the state back, as CopyState does.
  absl::Status LoadState(const TensorMap& state) { return CopyState(state, State()); }
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_OPTIMIZER_H_
