// Digests of what a source lists.
#ifndef VIT_CORE_DATA_SOURCES_FINGERPRINT_H_
#define VIT_CORE_DATA_SOURCES_FINGERPRINT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace vit {

// A digest of everything added, in order; detects changes, not tampering.
class Fingerprint {
 public:
  void Add(absl::string_view text);
  void Add(int64_t number);
  // 16 hexadecimal digits.
  std::string Hex() const;
  uint64_t value() const { return hash_; }

 private:
  void AddByte(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001B3; }
  uint64_t hash_ = 0xCBF29CE484222325;  // FNV-1a, 64 bits
};

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FINGERPRINT_H_
