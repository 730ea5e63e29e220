// The contents of a zip archive's entries, checked against their checksums.
#ifndef VIT_CORE_TENSOR_FILE_ZIP_ZIP_ENTRY_READER_H_
#define VIT_CORE_TENSOR_FILE_ZIP_ZIP_ENTRY_READER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/tensor_file/zip/zip_archive.h"

namespace vit {

// What a stored entry holds, in place, its checksum verified. INVALID_ARGUMENT for a deflated one,
// DATA_LOSS for damage.
absl::StatusOr<absl::string_view> StoredContents(const ZipArchive::Entry& entry);

// Gives an entry's contents in order, into memory that the caller has: what an entry claims to hold
// allocates nothing.
class ZipEntryReader {
 public:
  explicit ZipEntryReader(const ZipArchive::Entry& entry);  // must outlive this
  ~ZipEntryReader();
  ZipEntryReader(const ZipEntryReader&) = delete;

  // Bytes given so far.
  uint64_t position() const { return position_; }

  // The next `size` bytes. INVALID_ARGUMENT where the entry has fewer, DATA_LOSS for damage.
  absl::Status Read(char* out, uint64_t size);

  // DATA_LOSS unless all was read and has its checksum.
  absl::Status Finish();

 private:
  struct Inflater;

  const ZipArchive::Entry& entry_;
  std::unique_ptr<Inflater> inflater_;  // of a deflated entry
  uint64_t position_ = 0;
  uint32_t crc32_ = 0;
};

}  // namespace vit

#endif  // VIT_CORE_TENSOR_FILE_ZIP_ZIP_ENTRY_READER_H_
