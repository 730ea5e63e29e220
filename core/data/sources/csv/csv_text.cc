#include "core/data/sources/csv/csv_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"

namespace vit {
namespace {

// The Unicode Standard, section 3.9 (UTF-16).
absl::StatusOr<std::string> FromUtf16(absl::string_view bytes, bool big_endian) {
  BoundedReader reader(bytes);
  const auto unit = [&] { return uint32_t{big_endian ? reader.U16Be() : reader.U16Le()}; };
  std::string text;
  while (reader.remaining() > 0) {
    uint32_t code_point = unit();
    if (code_point >= 0xD800 && code_point < 0xDC00) {
      const uint32_t low = unit();
      code_point = low >= 0xDC00 && low < 0xE000
                       ? 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00)
                       : UINT32_MAX;
    }
    utf8proc_uint8_t encoded[4];
    if (!reader.ok() || !utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(code_point))) {
      return absl::InvalidArgumentError(absl::StrCat("the table's UTF-16 is damaged at byte ",
                                                     reader.position() + 2,
                                                     "; save it again, as UTF-8"));
    }
    const utf8proc_ssize_t size =
        utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), encoded);
    text.append(reinterpret_cast<const char*>(encoded), size);
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> DecodeTable(std::string bytes) {
  if (absl::StartsWith(bytes, "\xFF\xFE") || absl::StartsWith(bytes, "\xFE\xFF")) {
    VIT_ASSIGN_OR_RETURN(bytes, FromUtf16(absl::string_view(bytes).substr(2), bytes[0] == '\xFE'));
  } else if (absl::StartsWith(bytes, "\xEF\xBB\xBF")) {
    bytes.erase(0, 3);
  }
  if (bytes.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        "the table has zero bytes, as UTF-16 without a byte order mark does; save it as UTF-8");
  }
  if (bytes.find('\n') == std::string::npos) std::replace(bytes.begin(), bytes.end(), '\r', '\n');
  return bytes;
}

}  // namespace vit
