// Files that vitctl reads and writes.
#ifndef VIT_CLIENT_VITCTL_FILES_H_
#define VIT_CLIENT_VITCTL_FILES_H_

#include <istream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// Returns the bytes of `file`; "-" is `in`. An error's message gives the reason alone, without the
// name.
absl::StatusOr<std::string> ReadImage(const std::string& file, std::istream& in);
// The same, but "-" is a file.
absl::StatusOr<std::string> ReadImageFile(const std::string& file);

// Creates or replaces `file`. An error's message names it.
absl::Status WriteOutput(const std::string& file, absl::string_view content);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_FILES_H_
