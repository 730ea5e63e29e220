// What may be shown and sent as text.
#ifndef VIT_CORE_BASE_UTF8_H_
#define VIT_CORE_BASE_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"

namespace vit {

// Whether `text` is valid UTF-8 (RFC 3629: shortest forms, no surrogates, at most U+10FFFF) without
// control characters (C0, DEL, C1).
bool IsPrintableUtf8(absl::string_view text);

// `text` itself where it is printable, else with C's escapes for what is not ASCII or printable.
std::string Shown(absl::string_view text);

}  // namespace vit

#endif  // VIT_CORE_BASE_UTF8_H_
