// Files of named tensors in any format that weights are published in.
#ifndef VIT_CORE_TENSOR_FILE_TENSOR_FILE_H_
#define VIT_CORE_TENSOR_FILE_TENSOR_FILE_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/mapped_file.h"

namespace vit {

struct TensorFile {
  // May be views of the file, read-only by contract (a write faults), and strided.
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
  // Of a PyTorch file: the dicts within its dict that hold tensors, as they prefix the tensors'
  // names: "state_dict.", "model.state_dict.".
  std::set<std::string> sections;
};

// Reads safetensors, PyTorch's zip archives (ParsePytorch), NumPy's .npz (ParseNpz), or an index of
// shards with all its shards, which are beside it; a link may only lead into the index's folder or
// under one of `data_roots`. The content decides the format, never the name. The file is treated as
// hostile: nothing in it is run, every length is checked before use, and memory is bounded by the
// file's size. NOT_FOUND for a missing file or shard; INVALID_ARGUMENT, DATA_LOSS (a checksum) or
// RESOURCE_EXHAUSTED for a file that cannot be read, with the file, the reason and, for unsupported
// formats, the way to convert it.
absl::StatusOr<TensorFile> ReadTensorFile(const std::filesystem::path& path,
                                          absl::Span<const std::string> data_roots = {});

// The same for one file in memory, which cannot be an index. LibTorch may throw (out of memory).
absl::StatusOr<TensorFile> ParseTensorFile(const SharedBytes& file);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_TENSOR_FILE_H_
