// Reads tar archives in place: ustar, pax and GNU's.
#ifndef VIT_CORE_DATA_SOURCES_TAR_TAR_READER_H_
#define VIT_CORE_DATA_SOURCES_TAR_TAR_READER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

// A file in an archive.
struct TarMember {
  std::string name;    // as in the archive, without a leading "./"
  int64_t offset = 0;  // of its content, from the archive's start
  int64_t size = 0;
};

// Goes from header to header, skipping the contents. Checks what the archive says before using it:
// checksums, and that every content lies within the file. Names are data only; nothing is ever
// unpacked. Not thread-safe.
class TarReader {
 public:
  static absl::StatusOr<TarReader> Open(const std::filesystem::path& path);
  TarReader(TarReader&& other) noexcept;
  TarReader& operator=(TarReader&&) = delete;
  ~TarReader();

  // Reads the next regular file; false at the end. Passes over folders, links and devices.
  // INVALID_ARGUMENT, with the place, for a file that is not a tar archive, is damaged or cut off.
  absl::StatusOr<bool> Next(TarMember* member);
  // Reads the content of a member from Next. RESOURCE_EXHAUSTED if it has more than `max_bytes`.
  absl::StatusOr<std::string> Read(const TarMember& member, int64_t max_bytes);
  // Reads its first `count` bytes (at most 512), or all if it has fewer; valid until the next call.
  absl::StatusOr<absl::string_view> ReadStart(const TarMember& member, int64_t count);

  // Hard and symbolic links passed over so far, and the first one's name.
  int64_t links() const { return links_; }
  const std::string& first_link() const { return first_link_; }

 private:
  // What an extension header says about the member that follows.
  struct Override {
    std::string name;
    int64_t size = -1;
  };

  TarReader(int fd, std::string path, int64_t size)
      : fd_(fd), path_(std::move(path)), size_(size) {}
  // Returns `count` bytes, at most kBufferBytes, within the file; valid until the next call.
  absl::StatusOr<absl::string_view> Bytes(int64_t offset, size_t count);
  // Checks the header at at_; SizeOf reads its content's size.
  absl::Status CheckHeader(absl::string_view header) const;
  absl::StatusOr<int64_t> SizeOf(absl::string_view header) const;
  absl::Status CheckFits(int64_t size) const;
  absl::Status ReadExtension(char type, int64_t size, Override* next);
  absl::Status ParsePax(absl::string_view records, Override* next) const;
  absl::Status Error(absl::string_view what) const;

  int fd_;
  std::string path_;
  int64_t size_;
  int64_t at_ = 0;  // of the next header
  std::string buffer_;
  int64_t buffer_at_ = 0;
  int64_t links_ = 0;
  std::string first_link_;
};

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_TAR_TAR_READER_H_
