// The formats that -o chooses from.
#ifndef VIT_CLIENT_VITCTL_OUTPUT_FORMATS_H_
#define VIT_CLIENT_VITCTL_OUTPUT_FORMATS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace vit {

// Returns the formats of `command`, or of all commands together if it is empty.
std::vector<std::string> OutputFormats(absl::string_view command);

// INVALID_ARGUMENT, with the formats it has, if `command` does not have `format`.
absl::Status CheckOutputFormat(absl::string_view command, absl::string_view format);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_OUTPUT_FORMATS_H_
