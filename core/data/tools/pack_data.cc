#include "core/data/tools/pack_data.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/image/image_header.h"
#include "core/data/image/jpeg.h"
#include "core/data/image/resample.h"
#include "core/data/image/transform.h"
#include "core/data/sources/fingerprint.h"
#include "core/data/sources/pack_format.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

// After this many bytes, written data is made durable and recorded in the log.
constexpr int64_t kBatchBytes = int64_t{64} << 20;
constexpr int64_t kProgressSamples = 256;
constexpr size_t kNamesKept = 10;

// A file open for reading and writing at any offset.
class RandomFile {
 public:
  RandomFile() = default;
  RandomFile(const RandomFile&) = delete;
  ~RandomFile() {
    if (fd_ >= 0) close(fd_);
  }

  absl::Status Open(const fs::path& path) {
    path_ = path;
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    return fd_ >= 0 ? absl::OkStatus() : Error("create");
  }
  absl::Status Lock() {
    if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
    return errno == EWOULDBLOCK
               ? absl::AlreadyExistsError(absl::StrCat(path_.string(), " is already being written"))
               : Error("lock");
  }
  absl::StatusOr<int64_t> Size() const {
    struct stat info;
    if (fstat(fd_, &info) != 0) return Error("stat");
    return int64_t{info.st_size};
  }
  absl::Status Truncate(int64_t size) {
    return ftruncate(fd_, size) == 0 ? absl::OkStatus() : Error("truncate");
  }
  absl::Status Write(int64_t offset, absl::string_view data) {
    while (!data.empty()) {
      const ssize_t n = pwrite(fd_, data.data(), data.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Error("write");
      offset += n;
      data.remove_prefix(n);
    }
    return absl::OkStatus();
  }
  absl::Status Sync() { return fdatasync(fd_) == 0 ? absl::OkStatus() : Error("fsync"); }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path_.string()));
  }

  int fd_ = -1;
  fs::path path_;
};

struct Stored {
  std::string bytes;
  uint16_t width = 0;  // as in PackEntry
  uint16_t height = 0;
};

absl::StatusOr<Stored> FromPixels(const Image& image) {
  constexpr int kMost = std::numeric_limits<uint16_t>::max();
  if (image.width > kMost || image.height > kMost) {
    return absl::InvalidArgumentError("too large to be stored as bare pixels");
  }
  return Stored{std::string(image.rgb.begin(), image.rgb.end()), static_cast<uint16_t>(image.width),
                static_cast<uint16_t>(image.height)};
}

// Shrinks `encoded` until its longer side is at most options.max_side.
absl::StatusOr<std::string> Shrink(std::string encoded, const PackOptions& options) {
  VIT_ASSIGN_OR_RETURN(const ImageHeader header, ReadImageHeader(encoded));
  const int longer = std::max(header.width, header.height);
  if (longer <= options.max_side) return encoded;
  const double scale = static_cast<double>(options.max_side) / longer;
  const auto scaled = [&](int side) {
    return std::max(1, static_cast<int>(std::lround(side * scale)));
  };
  // Decoded at no less than twice the wanted size, if the format can scale.
  VIT_ASSIGN_OR_RETURN(
      const Image image,
      DecodeImage(encoded, {.limits = options.limits},
                  /*min_short_side=*/2 * scaled(std::min(header.width, header.height))));
  const bool wide = image.width >= image.height;
  const int other = std::max(1, static_cast<int>(std::lround(static_cast<double>(options.max_side) *
                                                             std::min(image.width, image.height) /
                                                             std::max(image.width, image.height))));
  return CatchExceptions("encode", [&] {
    return EncodeJpeg(Resize(image, wide ? options.max_side : other,
                             wide ? other : options.max_side, vit::v1::INTERPOLATION_BICUBIC),
                      options.jpeg_quality);
  });
}

class Packer {
 public:
  Packer(const DataSet& data, const fs::path& file, const PackOptions& options)
      : data_(data),
        file_(file),
        partial_(file.string() + ".partial"),
        log_path_(partial_.string() + ".log"),
        options_(options) {
    progress_.total = data.size(DataSplit::kTrain) + data.size(DataSplit::kValidation);
  }

  absl::Status Run(const std::stop_token& stop,
                   const std::function<void(const PackProgress&)>& on_progress);

 private:
  // Identifies the data and the options; the log begins with it.
  std::string Identity() const;
  // Opens both files and resumes what an earlier attempt recorded.
  absl::Status Resume();
  // Takes the entries of `log` that are intact.
  void TakeEntries(absl::string_view log, int64_t images_bytes);
  absl::Status Add(DataSplit split, int64_t index);
  absl::StatusOr<Stored> Read(DataSplit split, int64_t index);
  void NoteUnreadable(DataSplit split, int64_t index, const absl::Status& why);
  // Makes added images durable, then records them in the log.
  absl::Status Commit();
  absl::Status WriteIndex();

  const DataSet& data_;
  const fs::path file_, partial_, log_path_;
  const PackOptions options_;
  RandomFile images_, log_;
  std::vector<PackEntry> entries_;
  size_t committed_ = 0;  // of entries_
  int64_t committed_end_ = 0;
  int64_t log_end_ = 0;
  uint64_t end_ = kPackPageBytes;  // of the images
  PackProgress progress_;
};

std::string Packer::Identity() const {
  Fingerprint identity;
  identity.Add("VITPACK1");
  identity.Add(data_.fingerprint());
  identity.Add(options_.max_side);
  identity.Add(options_.max_side > 0 ? options_.jpeg_quality : 0);
  return identity.Hex();
}

absl::Status Packer::Resume() {
  VIT_RETURN_IF_ERROR(images_.Open(partial_));
  VIT_RETURN_IF_ERROR(images_.Lock());
  VIT_RETURN_IF_ERROR(log_.Open(log_path_));
  VIT_ASSIGN_OR_RETURN(const int64_t images_bytes, images_.Size());
  const int64_t most = static_cast<int64_t>(PackEntry::kBytes + 4) * progress_.total + 64;
  VIT_ASSIGN_OR_RETURN(const int64_t log_bytes, log_.Size());
  if (log_bytes <= most) {  // a longer log belongs to other data
    VIT_ASSIGN_OR_RETURN(const std::string log, ReadFile(log_path_, most));
    TakeEntries(log, images_bytes);
  }
  VIT_RETURN_IF_ERROR(images_.Truncate(static_cast<int64_t>(end_)));
  const std::string identity = Identity();
  log_end_ = static_cast<int64_t>(identity.size() + entries_.size() * (PackEntry::kBytes + 4));
  VIT_RETURN_IF_ERROR(log_.Truncate(entries_.empty() ? 0 : log_end_));
  VIT_RETURN_IF_ERROR(log_.Write(0, identity));
  committed_ = entries_.size();
  committed_end_ = static_cast<int64_t>(end_);
  progress_.samples = progress_.resumed_from = static_cast<int64_t>(entries_.size());
  progress_.bytes = committed_end_;
  return absl::OkStatus();
}

void Packer::TakeEntries(absl::string_view log, int64_t images_bytes) {
  const std::string identity = Identity();
  if (log.substr(0, identity.size()) != identity) return;
  log.remove_prefix(identity.size());
  for (; log.size() >= PackEntry::kBytes + 4; log.remove_prefix(PackEntry::kBytes + 4)) {
    const absl::string_view bytes = log.substr(0, PackEntry::kBytes);
    std::string crc;
    AppendU32(PackCrc(bytes), &crc);
    const PackEntry entry = PackEntry::Parse(bytes);
    if (log.substr(PackEntry::kBytes, 4) != crc || entry.offset < end_ ||
        entry.offset + entry.size > static_cast<uint64_t>(images_bytes)) {
      return;
    }
    end_ = entry.offset + entry.size;
    entries_.push_back(entry);
  }
}

absl::StatusOr<Stored> Packer::Read(DataSplit split, int64_t index) {
  absl::StatusOr<std::string> encoded = data_.ReadEncoded(split, index);
  if (absl::IsUnimplemented(encoded.status())) {
    VIT_ASSIGN_OR_RETURN(const Image image, data_.Load(split, index));
    return FromPixels(image);
  }
  if (!encoded.ok()) return encoded.status();
  if (options_.max_side == 0) return Stored{*std::move(encoded)};
  absl::StatusOr<std::string> smaller = Shrink(*encoded, options_);
  if (smaller.ok()) return Stored{*std::move(smaller)};
  // Stored as it is, so that the packed file gives the same error for this image as its source.
  NoteUnreadable(split, index, smaller.status());
  return Stored{*std::move(encoded)};
}

void Packer::NoteUnreadable(DataSplit split, int64_t index, const absl::Status& why) {
  ++progress_.unreadable;
  if (progress_.first_unreadable.size() < kNamesKept) {
    progress_.first_unreadable.push_back(
        absl::StrCat(data_.name(split, index), " (", why.message(), ")"));
  }
}

absl::Status Packer::Add(DataSplit split, int64_t index) {
  absl::StatusOr<Stored> stored = CatchExceptions("read", [&] { return Read(split, index); });
  if (!stored.ok()) {
    NoteUnreadable(split, index, stored.status());
    stored = Stored{};
  }
  PackEntry entry;
  entry.size = static_cast<uint32_t>(stored->bytes.size());
  entry.offset = PackOffset(end_, entry.size);
  entry.crc = PackCrc(stored->bytes);
  entry.label = static_cast<uint32_t>(data_.label(split, index));
  entry.width = stored->width;
  entry.height = stored->height;
  VIT_RETURN_IF_ERROR(images_.Write(static_cast<int64_t>(entry.offset), stored->bytes));
  end_ = entry.offset + entry.size;
  entries_.push_back(entry);
  ++progress_.samples;
  progress_.bytes = static_cast<int64_t>(end_);
  return absl::OkStatus();
}

absl::Status Packer::Commit() {
  if (committed_ == entries_.size()) return absl::OkStatus();
  VIT_RETURN_IF_ERROR(images_.Sync());
  std::string records;
  for (size_t i = committed_; i < entries_.size(); ++i) {
    std::string record;
    entries_[i].AppendTo(&record);
    AppendU32(PackCrc(record), &record);
    records += record;
  }
  VIT_RETURN_IF_ERROR(log_.Write(log_end_, records));
  VIT_RETURN_IF_ERROR(log_.Sync());
  log_end_ += static_cast<int64_t>(records.size());
  committed_ = entries_.size();
  committed_end_ = static_cast<int64_t>(end_);
  return absl::OkStatus();
}

absl::Status Packer::WriteIndex() {
  std::string index, names;
  for (const std::string& name : data_.class_names()) {
    AppendU32(static_cast<uint32_t>(name.size()), &index);
    index += name;
  }
  const int64_t train = data_.size(DataSplit::kTrain);
  for (int64_t i = 0; i < progress_.total; ++i) {
    entries_[i].name_offset = names.size();
    entries_[i].AppendTo(&index);
    const std::string name = i < train ? data_.name(DataSplit::kTrain, i)
                                       : data_.name(DataSplit::kValidation, i - train);
    AppendU32(static_cast<uint32_t>(name.size()), &names);
    names += name;
  }
  index += names;
  PackHeader header;
  header.index_offset = PackOffset(end_, std::numeric_limits<uint32_t>::max());
  header.index_bytes = index.size();
  header.index_crc = PackCrc(index);
  header.classes = static_cast<uint32_t>(data_.class_names().size());
  header.train_samples = train;
  header.validation_samples = data_.size(DataSplit::kValidation);
  header.native_size = data_.native_size();
  VIT_RETURN_IF_ERROR(images_.Write(static_cast<int64_t>(header.index_offset), index));
  VIT_RETURN_IF_ERROR(images_.Write(0, header.Serialize()));
  VIT_RETURN_IF_ERROR(images_.Sync());
  progress_.bytes = static_cast<int64_t>(header.index_offset + header.index_bytes);
  if (rename(partial_.c_str(), file_.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("rename to ", file_.string()));
  }
  unlink(log_path_.c_str());
  return SyncDirectory(file_.parent_path());
}

absl::Status Packer::Run(const std::stop_token& stop,
                         const std::function<void(const PackProgress&)>& on_progress) {
  std::error_code code;
  if (fs::exists(fs::symlink_status(file_, code))) {
    return absl::AlreadyExistsError(
        absl::StrCat(file_.string(), " exists; name another file, or remove it"));
  }
  VIT_RETURN_IF_ERROR(Resume());
  on_progress(progress_);
  const int64_t train = data_.size(DataSplit::kTrain);
  while (progress_.samples < progress_.total) {
    if (stop.stop_requested()) {
      VIT_RETURN_IF_ERROR(Commit());
      return absl::CancelledError(absl::StrCat("packing stopped after ", progress_.samples, " of ",
                                               progress_.total,
                                               " images; the same command continues from there"));
    }
    const int64_t i = progress_.samples;
    VIT_RETURN_IF_ERROR(i < train ? Add(DataSplit::kTrain, i)
                                  : Add(DataSplit::kValidation, i - train));
    if (static_cast<int64_t>(entries_.size() - committed_) >= options_.batch_samples ||
        static_cast<int64_t>(end_) - committed_end_ >= kBatchBytes) {
      VIT_RETURN_IF_ERROR(Commit());
      on_progress(progress_);
    } else if (progress_.samples % kProgressSamples == 0) {
      on_progress(progress_);
    }
  }
  VIT_RETURN_IF_ERROR(Commit());
  VIT_RETURN_IF_ERROR(WriteIndex());
  on_progress(progress_);
  return absl::OkStatus();
}

}  // namespace

absl::Status PackData(const DataSet& data, const fs::path& file, const PackOptions& options,
                      const std::stop_token& stop,
                      const std::function<void(const PackProgress&)>& on_progress) {
  if (options.max_side < 0 || (options.max_side > 0 && options.max_side < 8)) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_side is ", options.max_side, "; expected 8 or more, or 0 for no limit"));
  }
  if (options.jpeg_quality < 1 || options.jpeg_quality > 100) {
    return absl::InvalidArgumentError(
        absl::StrCat("jpeg_quality is ", options.jpeg_quality, "; expected 1 to 100"));
  }
  return Packer(data, file, options).Run(stop, on_progress);
}

}  // namespace vit
