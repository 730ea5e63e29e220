// The header of a NumPy array file
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#ifndef VIT_CORE_TENSOR_FILE_NPY_HEADER_H_
#define VIT_CORE_TENSOR_FILE_NPY_HEADER_H_

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

struct NpyHeader {
  at::ScalarType type = at::ScalarType::Undefined;
  bool fortran_order = false;  // the first index changes fastest
  std::vector<int64_t> shape;
};

// The magic and the version, with which a file begins; the length of the text follows.
inline constexpr size_t kNpyPrefixBytes = 8;

// Returns how many bytes after the prefix hold the text's length: 2 (version 1.0) or 4 (2.0, 3.0).
absl::StatusOr<size_t> NpyLengthBytes(absl::string_view prefix);

// Reads the length from those bytes; RESOURCE_EXHAUSTED beyond 64 KiB (NumPy itself stops at
// 10,000).
absl::StatusOr<size_t> NpyTextBytes(absl::string_view length);

// Parses the text: a Python dict of descr, fortran_order and shape, in any order, and nothing else.
// INVALID_ARGUMENT for anything but floats of 2, 4 and 8 bytes, signed integers of 1 to 8, u1,
// bool, and 2 bytes without a type, which is how JAX writes bfloat16; all little endian.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view text);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_NPY_HEADER_H_
