#include "core/tensor_file/zip/zip_archive.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kZip64End = 0x06064b50;
constexpr uint32_t kZip64Locator = 0x07064b50;
constexpr uint32_t kEnd = 0x06054b50;

constexpr uint64_t kDirectoryEntryBytes = 46, kZip64EndBytes = 56, kZip64LocatorBytes = 20,
                   kEndBytes = 22, kMaxCommentBytes = 0xffff;

// A field with this value has its real value in Zip64's fields.
constexpr uint32_t kIn64 = 0xffffffff;
constexpr uint16_t kIn64Short = 0xffff;
constexpr uint16_t kZip64Extra = 1;

constexpr uint16_t kEncryptedFlags = 1 << 0 | 1 << 6 | 1 << 13;
constexpr uint16_t kDescriptorFlag = 1 << 3;  // sizes and checksum follow the contents
constexpr uint16_t kMethodStored = 0, kMethodDeflated = 8;

constexpr uint64_t kMaxExpansion = 1032;   // of deflate: one bit for 129 bytes
constexpr uint64_t kMaxEntries = 100'000;  // a state dict has some thousand tensors

absl::Status Bad(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("zip archive: ", why));
}

absl::Status BadEntry(absl::string_view name, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("zip entry ", Quoted(name), ": ", why));
}

// Where the central directory is.
struct Directory {
  uint64_t count = 0, size = 0, offset = 0;
  uint64_t end = 0;  // where the record after it begins
};

// Finds the offset of the end record: the last one whose comment reaches to the archive's end.
absl::StatusOr<uint64_t> FindEnd(absl::string_view bytes) {
  const int64_t last = static_cast<int64_t>(bytes.size()) - static_cast<int64_t>(kEndBytes);
  const int64_t first = std::max<int64_t>(0, last - static_cast<int64_t>(kMaxCommentBytes));
  for (int64_t at = last; at >= first; --at) {
    BoundedReader reader(bytes.substr(at));
    if (reader.U32Le() != kEnd) continue;
    reader.Skip(kEndBytes - 6);
    if (reader.U16Le() == reader.remaining()) return at;
  }
  return Bad("no end record; the file is cut off or not a zip archive");
}

// Replaces the values of `directory` with those of the Zip64 record, if there is one: its locator
// is then right before the end record at `end`.
absl::Status ReadZip64End(absl::string_view bytes, uint64_t end, Directory* directory) {
  const auto differs = [](uint64_t small, uint64_t marker, uint64_t large) {
    return small != marker && small != large;
  };
  if (end < kZip64LocatorBytes) return absl::OkStatus();
  BoundedReader locator(bytes.substr(end - kZip64LocatorBytes, kZip64LocatorBytes));
  if (locator.U32Le() != kZip64Locator) return absl::OkStatus();
  const uint32_t disk = locator.U32Le();
  const uint64_t offset = locator.U64Le();
  const uint32_t disks = locator.U32Le();
  if (disk != 0 || disks > 1) return Bad("it is split over several disks");
  const uint64_t limit = end - kZip64LocatorBytes;
  if (offset > limit || limit - offset < kZip64EndBytes) {
    return Bad(absl::StrCat("the Zip64 locator points to byte ", offset, ", where no record fits"));
  }
  BoundedReader record(bytes.substr(offset, limit - offset));
  if (record.U32Le() != kZip64End) return Bad("there is no Zip64 record where its locator points");
  if (record.U64Le() != limit - offset - 12) return Bad("the Zip64 record has a wrong size");
  record.Skip(4);
  if (record.U32Le() != 0 || record.U32Le() != 0) return Bad("it is split over several disks");
  const uint64_t count_here = record.U64Le();
  const Directory zip64 = {record.U64Le(), record.U64Le(), record.U64Le(), offset};
  if (count_here != zip64.count) return Bad("it is split over several disks");
  if (differs(directory->count, kIn64Short, zip64.count) ||
      differs(directory->size, kIn64, zip64.size) ||
      differs(directory->offset, kIn64, zip64.offset)) {
    return Bad("the Zip64 record and the end record contradict each other");
  }
  *directory = zip64;
  return absl::OkStatus();
}

absl::StatusOr<Directory> FindDirectory(absl::string_view bytes) {
  VIT_ASSIGN_OR_RETURN(const uint64_t end, FindEnd(bytes));
  BoundedReader reader(bytes.substr(end));
  reader.Skip(4);
  const uint16_t disk = reader.U16Le();
  const uint16_t directory_disk = reader.U16Le();
  const uint16_t count_here = reader.U16Le();
  Directory directory;
  directory.count = reader.U16Le();
  directory.size = reader.U32Le();
  directory.offset = reader.U32Le();
  directory.end = end;
  if (disk != 0 || directory_disk != 0 || count_here != directory.count) {
    return Bad("it is split over several disks");
  }
  VIT_RETURN_IF_ERROR(ReadZip64End(bytes, end, &directory));
  if (directory.offset > directory.end || directory.size != directory.end - directory.offset) {
    return Bad(absl::StrCat("its directory of ", directory.size, " bytes at byte ",
                            directory.offset, " does not end at byte ", directory.end,
                            ", where its end record begins"));
  }
  if (directory.count > directory.size / kDirectoryEntryBytes || directory.count > kMaxEntries) {
    return Bad(absl::StrCat(directory.count, " entries in a directory of ", directory.size,
                            " bytes; at most ", kMaxEntries, " are read"));
  }
  return directory;
}

// Reads those of `values` that hold the marker, in order, from an entry's extra fields.
absl::Status ReadZip64Extra(absl::string_view name, absl::string_view extra,
                            std::initializer_list<uint64_t*> values) {
  absl::string_view zip64;
  BoundedReader reader(extra);
  while (reader.remaining() > 0) {
    const uint16_t id = reader.U16Le();
    const absl::string_view field = reader.Bytes(reader.U16Le());
    if (!reader.ok()) return BadEntry(name, "its extra fields are damaged");
    if (id == kZip64Extra && zip64.empty()) zip64 = field;
  }
  BoundedReader large(zip64);
  for (uint64_t* const value : values) {
    if (*value == kIn64) *value = large.U64Le();
  }
  if (!large.ok()) return BadEntry(name, "its Zip64 sizes are missing");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::Open(SharedBytes bytes) {
  VIT_ASSIGN_OR_RETURN(const Directory directory, FindDirectory(bytes.view));
  ZipArchive archive;
  archive.bytes_ = std::move(bytes);
  VIT_RETURN_IF_ERROR(archive.ReadDirectory(
      archive.bytes_.view.substr(directory.offset, directory.size), directory.count));
  VIT_RETURN_IF_ERROR(archive.CheckLocalHeaders(directory.offset));
  return archive;
}

absl::Status ZipArchive::ReadDirectory(absl::string_view directory, uint64_t count) {
  BoundedReader reader(directory);
  for (uint64_t i = 0; i < count; ++i) {
    if (reader.U32Le() != kDirectoryEntry) {
      return Bad(absl::StrCat("its directory is damaged at entry ", i, " of ", count));
    }
    reader.Skip(4);  // versions
    Entry entry;
    entry.flags = reader.U16Le();
    const uint16_t method = reader.U16Le();
    reader.Skip(4);  // time
    entry.crc32 = reader.U32Le();
    entry.raw_bytes = reader.U32Le();
    entry.size_bytes = reader.U32Le();
    const uint16_t name_size = reader.U16Le();
    const uint16_t extra_size = reader.U16Le();
    const uint16_t comment_size = reader.U16Le();
    const uint16_t disk = reader.U16Le();
    reader.Skip(6);  // attributes
    entry.offset = reader.U32Le();
    entry.name = std::string(reader.Bytes(name_size));
    const absl::string_view extra = reader.Bytes(extra_size);
    reader.Skip(comment_size);
    if (!reader.ok()) return Bad(absl::StrCat("its directory ends within entry ", i));
    VIT_RETURN_IF_ERROR(
        ReadZip64Extra(entry.name, extra, {&entry.size_bytes, &entry.raw_bytes, &entry.offset}));
    if (disk != 0 && disk != kIn64Short) return Bad("it is split over several disks");
    if ((entry.flags & kEncryptedFlags) != 0) {
      return BadEntry(entry.name, "it is encrypted; save the file without a password");
    }
    if (method != kMethodStored && method != kMethodDeflated) {
      return BadEntry(entry.name, absl::StrCat("compression method ", method,
                                               "; only stored and deflated entries are read"));
    }
    entry.deflated = method == kMethodDeflated;
    if (!entry.deflated && entry.size_bytes != entry.raw_bytes) {
      return BadEntry(entry.name, absl::StrCat("stored, but ", entry.raw_bytes, " bytes hold ",
                                               entry.size_bytes));
    }
    if (entry.deflated && entry.size_bytes / kMaxExpansion > entry.raw_bytes) {
      return BadEntry(entry.name, absl::StrCat(entry.raw_bytes, " compressed bytes cannot hold ",
                                               entry.size_bytes));
    }
    entries_.push_back(std::move(entry));
  }
  if (reader.remaining() > 0) {
    return Bad(absl::StrCat("its directory holds ", reader.remaining(), " bytes beyond its ", count,
                            " entries"));
  }
  by_name_.resize(entries_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0);
  std::sort(by_name_.begin(), by_name_.end(),
            [&](size_t a, size_t b) { return entries_[a].name < entries_[b].name; });
  for (size_t i = 1; i < by_name_.size(); ++i) {
    if (entries_[by_name_[i]].name == entries_[by_name_[i - 1]].name) {
      return BadEntry(entries_[by_name_[i]].name, "two entries have this name");
    }
  }
  return absl::OkStatus();
}

absl::Status ZipArchive::CheckLocalHeaders(uint64_t directory_offset) {
  std::vector<Entry*> by_offset;
  by_offset.reserve(entries_.size());
  for (Entry& entry : entries_) by_offset.push_back(&entry);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Entry* a, const Entry* b) { return a->offset < b->offset; });
  const absl::string_view contents = bytes_.view.substr(0, directory_offset);
  BoundedReader reader(contents);
  for (Entry* const entry : by_offset) {
    if (entry->offset < reader.position()) {
      return BadEntry(entry->name, "it overlaps another entry");
    }
    reader.Seek(entry->offset);
    if (reader.U32Le() != kLocalHeader) return BadEntry(entry->name, "there is no local header");
    reader.Skip(2);  // version
    const uint16_t flags = reader.U16Le();
    const uint16_t method = reader.U16Le();
    reader.Skip(4);  // time
    const uint32_t crc32 = reader.U32Le();
    uint64_t raw_bytes = reader.U32Le();
    uint64_t size_bytes = reader.U32Le();
    const uint16_t name_size = reader.U16Le();
    const uint16_t extra_size = reader.U16Le();
    const absl::string_view name = reader.Bytes(name_size);
    const absl::string_view extra = reader.Bytes(extra_size);
    entry->raw = reader.Bytes(entry->raw_bytes);
    if (!reader.ok()) {
      return BadEntry(entry->name,
                      absl::StrCat("its ", entry->raw_bytes, " bytes at byte ", entry->offset,
                                   " extend beyond the archive's contents"));
    }
    VIT_RETURN_IF_ERROR(ReadZip64Extra(entry->name, extra, {&size_bytes, &raw_bytes}));
    const bool sizes_agree =
        (entry->flags & kDescriptorFlag) != 0 ||
        (crc32 == entry->crc32 && raw_bytes == entry->raw_bytes && size_bytes == entry->size_bytes);
    if (name != entry->name || flags != entry->flags ||
        method != (entry->deflated ? kMethodDeflated : kMethodStored) || !sizes_agree) {
      return BadEntry(entry->name, "its local header and the directory contradict each other");
    }
  }
  return absl::OkStatus();
}

const ZipArchive::Entry* ZipArchive::Find(absl::string_view name) const {
  const auto found = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](size_t i, absl::string_view wanted) { return entries_[i].name < wanted; });
  return found != by_name_.end() && entries_[*found].name == name ? &entries_[*found] : nullptr;
}

}  // namespace vit
