// Text that is safe to show and send.
#ifndef VIT_CORE_BASE_UTF8_H_
#define VIT_CORE_BASE_UTF8_H_

#include <string>

#include "absl/strings/string_view.h"

namespace vit {

// Whether `text` is valid UTF-8 (RFC 3629: shortest forms, no surrogates, at most U+10FFFF) without
// control characters (C0, DEL, C1).
bool IsPrintableUtf8(absl::string_view text);

// Returns `text` itself if it is printable, else with C escapes for what is not printable ASCII.
std::string Shown(absl::string_view text);

}  // namespace vit

#endif  // VIT_CORE_BASE_UTF8_H_
