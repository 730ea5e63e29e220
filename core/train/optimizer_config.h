// Defaults and checks of OptimizerConfig.
#ifndef VIT_CORE_TRAIN_OPTIMIZER_CONFIG_H_
#define VIT_CORE_TRAIN_OPTIMIZER_CONFIG_H_

#include "absl/status/status.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Sets every field that is not set and belongs to the type to the default that training.proto
// names.
void FillOptimizerDefaults(vit::v1::OptimizerConfig* config);

// Checks an effective config. INVALID_ARGUMENT names the field as "optimizer.beta1".
absl::Status ValidateOptimizerConfig(const vit::v1::OptimizerConfig& config);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIMIZER_CONFIG_H_
