// NumPy's .npz: a zip archive of .npy arrays, as Google and JAX publish weights. Only for the rooms
// that compute.
#ifndef VIT_CORE_TENSOR_FILE_NPZ_H_
#define VIT_CORE_TENSOR_FILE_NPZ_H_

#include "absl/status/statusor.h"
#include "core/tensor_file/tensor_file.h"
#include "core/tensor_file/zip/zip_archive.h"

namespace vit {

// All arrays of the archive, by their names less ".npy". Arrays in Fortran order come back as
// strided tensors. Stored arrays are views of the archive's bytes where they lie aligned, deflated
// ones are inflated right into their tensors, several at a time. Before a tensor is allocated, its
// array's header must account for the size that the entry claims, and all deflated arrays together
// for no more than 16 times the archive or 64 MiB, whichever is more: a few kilobytes could
// otherwise ask for gigabytes. INVALID_ARGUMENT or DATA_LOSS names the array; RESOURCE_EXHAUSTED
// for that limit.
absl::StatusOr<TensorFile> ParseNpz(const ZipArchive& archive);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_NPZ_H_
