// Files of torch.save (.pth, .pt, .bin) since PyTorch 1.6: a zip archive of one pickle and one
// stored entry for each storage. Only for the rooms that compute.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_PYTORCH_FILE_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_PYTORCH_FILE_H_

#include "absl/status/statusor.h"
#include "core/tensor_file/tensor_file.h"
#include "core/tensor_file/zip/zip_archive.h"

namespace vit {

// All tensors that the file holds by name, nothing of which is run: in its dict itself or in dicts
// within it, whose keys then stand in front of the tensors' names ("state_dict.head.bias") and are
// TensorFile::sections. Other values are left out. Tensors are views of the archive's bytes where
// they lie aligned, as torch.save puts them, strided as they were saved. INVALID_ARGUMENT or
// DATA_LOSS names what is wrong; RESOURCE_EXHAUSTED for a pickle beyond all measure.
absl::StatusOr<TensorFile> ParsePytorch(const ZipArchive& archive);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_PYTORCH_FILE_H_
