// Checks how OptimizerConfig's fields fit together.
#ifndef VIT_CORE_TRAIN_OPTIM_OPTIMIZER_CONFIG_H_
#define VIT_CORE_TRAIN_OPTIM_OPTIMIZER_CONFIG_H_

#include "absl/status/status.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Checks what the rules of an effective config do not cover, except what depends on the model's
// parameters (see PlanParameters). INVALID_ARGUMENT names the field as "optimizer.beta1".
absl::Status ValidateOptimizerConfig(int batch_size, const vit::v1::OptimizerConfig& config);

// Returns how many copies of a parameter's values the optimizer of an effective `config` keeps as
// its state.
int OptimizerStateCopies(const vit::v1::OptimizerConfig& config);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_OPTIMIZER_CONFIG_H_
