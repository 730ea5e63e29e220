// Infers the model that a file of weights is for.
#ifndef VIT_CORE_WEIGHTS_INFER_CONFIG_H_
#define VIT_CORE_WEIGHTS_INFER_CONFIG_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/compute/named_tensors.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Returns the config, effective and valid, of the model with the weights `tensors` (timm's names).
// What names and shapes show comes from them; the rest (head count, pooling, epsilon) from `known`
// if it is set there, else what is usual for the width. INVALID_ARGUMENT names the tensor that is
// missing or has an unexpected shape, or the field that must be set.
absl::StatusOr<vit::v1::ModelConfig> InferModelConfig(const TensorMap& tensors,
                                                      const vit::v1::ModelConfig& known);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_INFER_CONFIG_H_
