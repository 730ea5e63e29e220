// SHA256SUMS, as sha256sum -c reads it: what the files of a folder were when they were written.
#ifndef VIT_CORE_BASE_CHECKSUMS_H_
#define VIT_CORE_BASE_CHECKSUMS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace vit {

// Writes `directory`/SHA256SUMS over the files of these names, fsynced.
absl::Status WriteChecksums(const std::filesystem::path& directory,
                            const std::vector<std::string>& names);

// DATA_LOSS, naming the file, where one of `names` is missing, has no checksum or not its own.
absl::Status VerifyChecksums(const std::filesystem::path& directory,
                             const std::vector<std::string>& names);

}  // namespace vit

#endif  // VIT_CORE_BASE_CHECKSUMS_H_
