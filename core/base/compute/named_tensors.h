// Tensors with names.
#ifndef VIT_CORE_BASE_COMPUTE_NAMED_TENSORS_H_
#define VIT_CORE_BASE_COMPUTE_NAMED_TENSORS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace vit {

// In insertion order.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;
// For look-up by name.
using TensorMap = std::map<std::string, at::Tensor>;

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_NAMED_TENSORS_H_
