// Python's integers as pickles hold them.
#ifndef VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_INTEGER_H_
#define VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_INTEGER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace vit {

// Reads an integer of any length, little endian. Returns false for one beyond 64 bits, which no
// weight needs.
inline bool IntegerFromBytes(absl::string_view bytes, int64_t* value) {
  if (bytes.size() > 8) return false;
  uint64_t bits = !bytes.empty() && (bytes.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(bytes[i]);
  *value = static_cast<int64_t>(bits);
  return true;
}

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_PYTORCH_PICKLE_INTEGER_H_
