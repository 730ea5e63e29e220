#include "core/data/sources/tar/tar_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"

namespace vit {
namespace {

// The layout is POSIX.1's (pax, "ustar Interchange Format"), with GNU's long names and base-256
// numbers.
constexpr int64_t kBlock = 512;
constexpr int64_t kMaxExtensionBytes = 1 << 20;
// One read covers a header, a label's content and the header after it.
constexpr size_t kBufferBytes = 8192;

int64_t RoundUp(int64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

// Returns a field up to a zero byte or its end.
absl::string_view Text(absl::string_view header, size_t at, size_t size) {
  const absl::string_view field = header.substr(at, size);
  return field.substr(0, field.find('\0'));
}

// Parses octal digits between blanks; -1 for anything else.
int64_t Octal(absl::string_view field) {
  int64_t value = 0;
  field = field.substr(0, field.find('\0'));
  while (absl::ConsumePrefix(&field, " ")) {
  }
  while (absl::ConsumeSuffix(&field, " ")) {
  }
  if (field.size() > 20) return -1;
  for (const char c : field) {
    if (c < '0' || c > '7') return -1;
    value = value * 8 + (c - '0');
  }
  return value;
}

// Returns the name in the header itself.
std::string HeaderName(absl::string_view header) {
  const absl::string_view prefix =
      absl::StartsWith(header.substr(257), absl::string_view("ustar\0", 6)) ? Text(header, 345, 155)
                                                                            : absl::string_view();
  return absl::StrCat(prefix, prefix.empty() ? "" : "/", Text(header, 0, 100));
}

}  // namespace

absl::StatusOr<TarReader> TarReader::Open(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path.string()));
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(absl::StrCat(path.string(), " is not a file"));
  }
  return TarReader(fd, path.string(), info.st_size);
}

TarReader::TarReader(TarReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      size_(other.size_),
      at_(other.at_),
      buffer_(std::move(other.buffer_)),
      buffer_at_(other.buffer_at_),
      links_(other.links_),
      first_link_(std::move(other.first_link_)) {}

TarReader::~TarReader() {
  if (fd_ >= 0) close(fd_);
}

absl::Status TarReader::Error(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, ": at byte ", at_, ", ", what));
}

absl::StatusOr<absl::string_view> TarReader::Bytes(int64_t offset, size_t count) {
  if (offset < buffer_at_ ||
      offset + static_cast<int64_t>(count) > buffer_at_ + static_cast<int64_t>(buffer_.size())) {
    buffer_.resize(std::min<int64_t>(kBufferBytes, size_ - offset));
    buffer_at_ = offset;
    size_t done = 0;
    while (done < buffer_.size()) {
      const ssize_t n = pread(fd_, buffer_.data() + done, buffer_.size() - done,
                              offset + static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path_));
      if (n == 0) return absl::InvalidArgumentError(absl::StrCat(path_, " became shorter"));
      done += n;
    }
  }
  return absl::string_view(buffer_).substr(offset - buffer_at_, count);
}

absl::StatusOr<std::string> TarReader::Read(const TarMember& member, int64_t max_bytes) {
  if (member.size > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(path_, ": ", member.name, " has ", member.size,
                                                     " bytes; at most ", max_bytes, " are read"));
  }
  std::string content;
  while (static_cast<int64_t>(content.size()) < member.size) {
    const int64_t done = static_cast<int64_t>(content.size());
    VIT_ASSIGN_OR_RETURN(
        const absl::string_view part,
        Bytes(member.offset + done, std::min<int64_t>(kBufferBytes, member.size - done)));
    content.append(part.data(), part.size());
  }
  return content;
}

absl::StatusOr<absl::string_view> TarReader::ReadStart(const TarMember& member, int64_t count) {
  return Bytes(member.offset, std::min(count, member.size));
}

absl::Status TarReader::CheckHeader(absl::string_view header) const {
  if (at_ == 0 && absl::StartsWith(header, "\x1F\x8B")) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, " is compressed with gzip, which does not allow random access; unpack it"));
  }
  if (at_ == 0 && absl::StartsWith(header, "\x28\xB5\x2F\xFD")) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, " is compressed with zstd, which does not allow random access; unpack it"));
  }
  constexpr size_t kChecksumAt = 148, kChecksumBytes = 8;
  int64_t sum = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    const bool in_checksum = i >= kChecksumAt && i < kChecksumAt + kChecksumBytes;
    sum += in_checksum ? ' ' : static_cast<uint8_t>(header[i]);
  }
  if (Octal(header.substr(kChecksumAt, kChecksumBytes)) != sum) {
    return Error("this is not a tar header (its checksum is wrong)");
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> TarReader::SizeOf(absl::string_view header) const {
  const absl::string_view field = header.substr(124, 12);
  if ((static_cast<uint8_t>(field[0]) & 0x80) == 0) {
    const int64_t size = Octal(field);
    if (size < 0) return Error("the header's size is not a number");
    return size;
  }
  // GNU: base 256, for members of 8 GiB and more. What does not fit into 63 bits does not fit into
  // the file.
  uint64_t size = static_cast<uint8_t>(field[0]) & 0x7F;
  for (const char c : field.substr(1)) {
    if (size >> 55 != 0) return Error("the header's size is far too large");
    size = size << 8 | static_cast<uint8_t>(c);
  }
  return static_cast<int64_t>(size);
}

absl::Status TarReader::CheckFits(int64_t size) const {
  if (size <= size_ - at_ - kBlock) return absl::OkStatus();
  return Error(absl::StrCat("a member of ", size, " bytes goes beyond the file's end (", size_,
                            " bytes): the archive is cut off"));
}

// Parses records "LENGTH KEY=VALUE\n"; the length counts itself.
absl::Status TarReader::ParsePax(absl::string_view records, Override* next) const {
  while (!records.empty()) {
    const size_t blank = records.find(' ');
    size_t length = 0;
    if (blank == absl::string_view::npos || !absl::SimpleAtoi(records.substr(0, blank), &length) ||
        length <= blank + 1 || length > records.size() || records[length - 1] != '\n') {
      return Error("an extended header is damaged");
    }
    const absl::string_view record = records.substr(blank + 1, length - blank - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == absl::string_view::npos) return Error("an extended header is damaged");
    const absl::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (absl::StartsWith(key, "GNU.sparse.")) return Error("a sparse file, which is not supported");
    if (key == "path") next->name = std::string(value);
    if (key == "size" && (!absl::SimpleAtoi(value, &next->size) || next->size < 0)) {
      return Error("an extended header's size is not a number");
    }
  }
  return absl::OkStatus();
}

absl::Status TarReader::ReadExtension(char type, int64_t size, Override* next) {
  if (type != 'x' && type != 'L') return absl::OkStatus();
  if (size > kMaxExtensionBytes) return Error("an extended header is far too large");
  VIT_ASSIGN_OR_RETURN(const std::string content,
                       Read({"", at_ + kBlock, size}, kMaxExtensionBytes));
  if (type == 'x') return ParsePax(content, next);
  next->name = content.substr(0, content.find('\0'));
  return absl::OkStatus();
}

absl::StatusOr<bool> TarReader::Next(TarMember* member) {
  Override next;
  while (at_ < size_) {
    if (size_ - at_ < kBlock) return Error("the archive is cut off within a header");
    VIT_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(at_, kBlock));
    const std::string header(bytes);
    if (header.find_first_not_of('\0') == std::string::npos) return false;
    VIT_RETURN_IF_ERROR(CheckHeader(header));
    VIT_ASSIGN_OR_RETURN(int64_t size, SizeOf(header));
    const char type = header[156];
    // Links, devices and folders have no content, whatever size their headers give.
    if (type >= '1' && type <= '6') size = 0;
    if (type == 'S') return Error("a sparse file, which is not supported");
    const bool is_file = type == '0' || type == '\0' || type == '7';
    if (is_file && next.size >= 0) size = next.size;
    VIT_RETURN_IF_ERROR(CheckFits(size));
    if (!is_file) VIT_RETURN_IF_ERROR(ReadExtension(type, size, &next));
    const int64_t content = at_ + kBlock;
    at_ = std::min(content + RoundUp(size), size_);
    const std::string name = next.name.empty() ? HeaderName(header) : next.name;
    if ((type == '1' || type == '2') && links_++ == 0) first_link_ = name;
    if (!is_file) {
      if (type >= '1' && type <= '6') next = {};
      continue;
    }
    next = {};
    if (absl::EndsWith(name, "/")) continue;  // how old archives mark a folder
    *member = {std::string(absl::StripPrefix(name, "./")), content, size};
    return true;
  }
  return false;
}

}  // namespace vit
