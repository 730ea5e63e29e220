// Zip archives for tests, and the offsets in them at which to lie.
#ifndef VIT_TESTS_CORE_TENSOR_FILE_ZIP_BUILDER_H_
#define VIT_TESTS_CORE_TENSOR_FILE_ZIP_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace vit {

// `value` as `bytes` bytes, little endian.
std::string Le(uint64_t value, int bytes);

struct ZipPart {
  std::string name;
  std::string contents;
  bool deflated = false;
  bool zip64 = false;  // sizes in the extra fields
};

// A valid archive; Patched() changes it.
struct Zip {
  std::string bytes;
  std::vector<size_t> local, data, central;  // of each part: where its structures begin
  size_t directory = 0, zip64_end = 0, locator = 0, end = 0;

  // Writes `value` at `offset`; returns the archive, for use in an expression.
  std::string Patched(size_t offset, uint64_t value, int bytes) const;
};

// With Zip64 records before the end record if `zip64`.
Zip MakeZip(const std::vector<ZipPart>& parts, bool zip64 = false);

// Raw deflate, as zip archives hold it.
std::string Deflate(absl::string_view contents);

// An .npy file of version 1.0 with this dict, as it is, and these values after it.
std::string Npy(absl::string_view dict, absl::string_view values);

// An .npy file with a valid dict.
std::string FloatArray(absl::string_view shape, size_t count);

}  // namespace vit

#endif  // VIT_TESTS_CORE_TENSOR_FILE_ZIP_BUILDER_H_
