// The JSON header of a safetensors file.
#ifndef VIT_CORE_TENSOR_FILE_SAFETENSORS_HEADER_H_
#define VIT_CORE_TENSOR_FILE_SAFETENSORS_HEADER_H_

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

struct SafetensorsHeader {
  struct Entry {
    at::ScalarType type = at::ScalarType::Undefined;
    std::vector<int64_t> shape;
    uint64_t begin = 0, end = 0;  // of its values, from the header's end
  };
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
};

// Returns the format's name of `type`, or null if it has none or the type is not supported here.
const char* SafetensorsDtype(at::ScalarType type);

// Parses the header. Checks form and dtypes, that each entry's range fits its shape, and that the
// ranges together cover the whole of `data_bytes` without overlap or hole, as the format requires.
// INVALID_ARGUMENT names the tensor and the numbers.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view text,
                                                         uint64_t data_bytes);

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_SAFETENSORS_HEADER_H_
