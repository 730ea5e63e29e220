// Defaults and checks of OptimizerConfig.
#ifndef VIT_CORE_TRAIN_OPTIM_OPTIMIZER_CONFIG_H_
#define VIT_CORE_TRAIN_OPTIM_OPTIMIZER_CONFIG_H_

#include "absl/status/status.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Takes out of `base` what excludes fields that `over`, about to be merged over it, sets, and a
// learning_rate that follows from its base_learning_rate.
void ClearReplacedOptimizer(const vit::v1::OptimizerConfig& over, vit::v1::OptimizerConfig* base);

// Sets every field that is not set and belongs to the type to the default that training.proto
// names; learning_rate, where there is a base_learning_rate, to what that means for `batch_size`.
void FillOptimizerDefaults(int batch_size, vit::v1::OptimizerConfig* config);

// Checks an effective config, apart from what depends on the model's parameters (see
// PlanParameters). INVALID_ARGUMENT names the field as "optimizer.beta1".
absl::Status ValidateOptimizerConfig(int batch_size, const vit::v1::OptimizerConfig& config);

// The peak learning rate that base_learning_rate, which must be set, means for `batch_size`.
double ScaledLearningRate(int batch_size, const vit::v1::OptimizerConfig& config);

// Copies of a parameter's values that the optimizer of an effective `config` keeps as its state.
int OptimizerStateCopies(const vit::v1::OptimizerConfig& config);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_OPTIMIZER_CONFIG_H_
