// SHA256SUMS, in the format of sha256sum -c: the checksums of a folder's files as written.
#ifndef VIT_CORE_BASE_CHECKSUMS_H_
#define VIT_CORE_BASE_CHECKSUMS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace vit {

// Writes `directory`/SHA256SUMS for the files with these names, fsynced.
absl::Status WriteChecksums(const std::filesystem::path& directory,
                            const std::vector<std::string>& names);

// Checks `names` against SHA256SUMS. DATA_LOSS names the file that is missing, has no checksum or
// does not match it.
absl::Status VerifyChecksums(const std::filesystem::path& directory,
                             const std::vector<std::string>& names);

}  // namespace vit

#endif  // VIT_CORE_BASE_CHECKSUMS_H_
