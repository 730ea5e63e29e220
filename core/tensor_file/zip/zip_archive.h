// The zip format (PKWARE's APPNOTE), as far as weight files use it.
#ifndef VIT_CORE_TENSOR_FILE_ZIP_ZIP_ARCHIVE_H_
#define VIT_CORE_TENSOR_FILE_ZIP_ZIP_ARCHIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/mapped_file.h"

namespace vit {

// An archive in memory: stored and deflated entries, Zip64, data descriptors; one disk, no
// encryption. Open checks every count, offset and size before it is used, that the central
// directory and the local headers agree, that no two entries share a byte or a name, and that none
// claims to hold more than deflate can produce. Contents are checked when they are read
// (zip_entry_reader.h). Immutable.
class ZipArchive {
 public:
  struct Entry {
    std::string name;
    uint16_t flags = 0;
    bool deflated = false;    // else stored
    uint32_t crc32 = 0;       // of the contents
    uint64_t size_bytes = 0;  // of the contents
    uint64_t raw_bytes = 0;   // of `raw`
    uint64_t offset = 0;      // of the local header
    absl::string_view raw;    // the contents as they lie in the archive
  };

  // INVALID_ARGUMENT names what is wrong, and the entry.
  static absl::StatusOr<ZipArchive> Open(SharedBytes bytes);

  const std::vector<Entry>& entries() const { return entries_; }  // as in the central directory
  const Entry* Find(absl::string_view name) const;                // null if there is none
  const std::shared_ptr<const void>& owner() const { return bytes_.owner; }
  size_t size_bytes() const { return bytes_.view.size(); }

 private:
  ZipArchive() = default;
  absl::Status ReadDirectory(absl::string_view directory, uint64_t count);
  absl::Status CheckLocalHeaders(uint64_t directory_offset);

  SharedBytes bytes_;
  std::vector<Entry> entries_;
  std::vector<size_t> by_name_;  // indices, sorted by their entries' names
};

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_ZIP_ZIP_ARCHIVE_H_
