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

// Returns a stored entry's contents in place, with the checksum verified. INVALID_ARGUMENT for a
// deflated one, DATA_LOSS for damage.
absl::StatusOr<absl::string_view> StoredContents(const ZipArchive::Entry& entry);

// Reads an entry's contents in order into the caller's memory: the size that an entry claims
// allocates nothing.
class ZipEntryReader {
 public:
  explicit ZipEntryReader(const ZipArchive::Entry& entry);  // must outlive this
  ~ZipEntryReader();
  ZipEntryReader(const ZipEntryReader&) = delete;

  // Bytes read so far.
  uint64_t position() const { return position_; }

  // Reads the next `size` bytes. INVALID_ARGUMENT if the entry has fewer, DATA_LOSS for damage.
  absl::Status Read(char* out, uint64_t size);

  // DATA_LOSS unless everything was read and matches its checksum.
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
