// Files of torch.save (.pth, .pt, .bin) since PyTorch 1.6: a zip archive of one pickle and one
// stored entry for each storage.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_PYTORCH_FILE_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_PYTORCH_FILE_H_

#include "absl/status/statusor.h"
#include "core/tensor_file/tensor_file.h"
#include "core/tensor_file/zip/zip_archive.h"

namespace vit {

// Returns all named tensors of the file without running anything in it: those in its dict and in
// dicts within it, whose keys then prefix the tensors' names ("state_dict.head.bias") and are
// TensorFile::sections. Other values are left out. Tensors are views of the archive's bytes if they
// are aligned, as torch.save writes them, and strided as they were saved. INVALID_ARGUMENT or
// DATA_LOSS names what is wrong; RESOURCE_EXHAUSTED for an oversized pickle.
absl::StatusOr<TensorFile> ParsePytorch(const ZipArchive& archive);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_PYTORCH_FILE_H_
