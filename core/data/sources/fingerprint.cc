#include "core/data/sources/fingerprint.h"

#include "absl/strings/str_format.h"

namespace vit {

void Fingerprint::Add(absl::string_view text) {
  // The length first, so that "ab", "c" and "a", "bc" differ.
  Add(static_cast<int64_t>(text.size()));
  for (const char c : text) AddByte(static_cast<uint8_t>(c));
}

void Fingerprint::Add(int64_t number) {
  for (int shift = 0; shift < 64; shift += 8) AddByte(static_cast<uint8_t>(number >> shift));
}

std::string Fingerprint::Hex() const { return absl::StrFormat("%016x", hash_); }

}  // namespace vit
