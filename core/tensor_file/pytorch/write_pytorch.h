// A state dict in PyTorch's zip format.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_WRITE_PYTORCH_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_WRITE_PYTORCH_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"

namespace vit {

// Writes `path`, fsynced, as torch.save(state_dict, path) would: a dict from name to tensor, in the
// order given, that torch.load(path, weights_only=True) reads.
absl::Status WritePytorch(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_WRITE_PYTORCH_H_
