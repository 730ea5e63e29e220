#include "core/base/utf8.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"

namespace vit {

bool IsPrintableUtf8(absl::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const int length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || lead > 0xf4 || i + length > text.size()) return false;
    uint32_t point = length == 1 ? lead : lead & (0x7f >> length);
    for (int k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if (next >> 6 != 2) return false;
      point = point << 6 | (next & 0x3f);
    }
    const bool shortest = length < 3 || point >= (length == 3 ? 0x800u : 0x10000u);
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    const bool control = point < 0x20 || (point >= 0x7f && point < 0xa0);
    if (!shortest || surrogate || point > 0x10ffff || control) return false;
    i += length;
  }
  return true;
}

std::string Shown(absl::string_view text) {
  return IsPrintableUtf8(text) ? std::string(text) : absl::CEscape(text);
}

}  // namespace vit
