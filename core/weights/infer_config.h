// What model a file of weights is for. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_INFER_CONFIG_H_
#define VIT_CORE_WEIGHTS_INFER_CONFIG_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "vit/v1/model.pb.h"

namespace vit {

// The config of the model whose weights `tensors` (timm's names) are. What names and shapes tell
// comes from them; the rest (head count, pooling, epsilon) from `known`, where it is set, else what
// is usual for the width. Effective and valid. INVALID_ARGUMENT names the tensor that is missing or
// oddly shaped, or the field that has to be given.
absl::StatusOr<vit::v1::ModelConfig> InferModelConfig(
    const std::map<std::string, at::Tensor>& tensors, const vit::v1::ModelConfig& known);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_INFER_CONFIG_H_
