// NumPy's .npz: a zip archive of .npy arrays, as Google and JAX publish weights.
#ifndef VIT_CORE_TENSOR_FILE_NPZ_H_
#define VIT_CORE_TENSOR_FILE_NPZ_H_

#include "absl/status/statusor.h"
#include "core/tensor_file/tensor_file.h"
#include "core/tensor_file/zip/zip_archive.h"

namespace vit {

// Returns all arrays of the archive, by their names without ".npy". Arrays in Fortran order become
// strided tensors. Stored arrays are views of the archive's bytes if they are aligned; deflated
// ones are inflated directly into their tensors, several at a time. Before a tensor is allocated,
// its array's header must match the size that the entry claims, and all deflated arrays together
// may take at most 16 times the archive or 64 MiB, whichever is more: otherwise a few kilobytes
// could ask for gigabytes. INVALID_ARGUMENT or DATA_LOSS names the array; RESOURCE_EXHAUSTED for
// that limit.
absl::StatusOr<TensorFile> ParseNpz(const ZipArchive& archive);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_NPZ_H_
