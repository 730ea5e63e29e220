// A file of named tensors, whatever its format. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_TENSOR_FILE_H_
#define VIT_CORE_WEIGHTS_TENSOR_FILE_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace vit {

struct TensorFile {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_TENSOR_FILE_H_
