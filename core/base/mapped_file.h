// Large files read in place.
#ifndef VIT_CORE_BASE_MAPPED_FILE_H_
#define VIT_CORE_BASE_MAPPED_FILE_H_

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// Bytes, and what keeps them alive: they are valid as long as any copy of `owner` lives.
struct SharedBytes {
  absl::string_view view;
  std::shared_ptr<const void> owner;
};

// Maps a whole regular file for reading: writing to it faults, and so does reading a part that was
// truncated after this call. INVALID_ARGUMENT for a folder, pipe or device, else the errno's
// status; names the path.
absl::StatusOr<SharedBytes> MapFile(const std::filesystem::path& path);

}  // namespace vit

#endif  // VIT_CORE_BASE_MAPPED_FILE_H_
