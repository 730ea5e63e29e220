// The safetensors format (https://github.com/huggingface/safetensors): 8 bytes of header length, a
// JSON header that gives each tensor's dtype, shape and position, then the values.
#ifndef VIT_CORE_TENSOR_FILE_SAFETENSORS_H_
#define VIT_CORE_TENSOR_FILE_SAFETENSORS_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/mapped_file.h"
#include "core/tensor_file/tensor_file.h"

namespace vit {

// Maps the file into memory: the tensors are views of it, valid as long as any of them lives, and
// read-only by contract (a write faults). Every length, offset, shape and dtype is checked before
// use. NOT_FOUND for a missing file, INVALID_ARGUMENT for anything that does not fit, naming the
// tensor and the numbers.
absl::StatusOr<TensorFile> ReadSafetensors(const std::filesystem::path& path);

// The same for a file in memory. LibTorch may throw (out of memory).
absl::StatusOr<TensorFile> ParseSafetensors(const SharedBytes& file);

// Writes `path`, fsynced. Tensors may be on any device and are made contiguous; values are in the
// order given, so that the bytes are a function of the arguments.
absl::Status WriteSafetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_SAFETENSORS_H_
