#include "core/data/sources/packed_data.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/file.h"
#include "core/base/mapped_file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/class_names.h"
#include "core/data/sources/fingerprint.h"
#include "core/data/sources/pack_format.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

class PackedData : public DataSet {
 public:
  PackedData(DataSetOptions options, bool apply_orientation, int listing_version)
      : options_(std::move(options)),
        apply_orientation_(apply_orientation),
        listing_version_(listing_version) {}

  // Checks everything but the images themselves.
  absl::Status Open(const fs::path& path);

  int64_t size(DataSplit split) const override {
    return split == DataSplit::kTrain ? train_samples_ : total() - train_samples_;
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return entries_[Place(split, index)].label;
  }
  std::string name(DataSplit split, int64_t index) const override;
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override;
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override;

 private:
  int64_t total() const { return static_cast<int64_t>(entries_.size()); }
  int64_t Place(DataSplit split, int64_t index) const {
    return split == DataSplit::kTrain ? index : train_samples_ + index;
  }
  absl::Status Damaged(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(path_, ": ", what,
                                            "; the file is damaged or not packed data; pack it "
                                            "again with vitctl pack-data"));
  }
  absl::StatusOr<PackHeader> ReadHeader() const;
  absl::Status ReadIndex(const PackHeader& header);
  absl::Status CheckEntry(const PackEntry& entry, const PackHeader& header) const;
  // Gives classes the same order and form as in other sources if the file's are those of listing
  // version 1, which sorted them by bytes.
  absl::Status OrderClasses();
  void SetFingerprint();
  // Returns the stored bytes; compares their checksum the first time.
  absl::StatusOr<absl::string_view> Bytes(int64_t place) const;

  const DataSetOptions options_;
  const bool apply_orientation_;
  const int listing_version_;
  std::string path_;
  SharedBytes file_;
  int64_t train_samples_ = 0;
  std::vector<PackEntry> entries_;  // training, then validation
  absl::string_view names_;
  mutable std::vector<std::atomic<bool>> checked_;
};

absl::StatusOr<PackHeader> PackedData::ReadHeader() const {
  const std::optional<PackHeader> header = PackHeader::Parse(file_.view.substr(0, kPackPageBytes));
  if (!header.has_value()) return Damaged("the header is not that of packed data");
  const uint64_t file_bytes = file_.view.size();
  // Each comparison keeps the next one's difference from wrapping around.
  if (header->index_offset > file_bytes ||
      header->index_bytes > file_bytes - header->index_offset) {
    return Damaged("the index goes beyond the file's end");
  }
  const uint64_t most = header->index_bytes / PackEntry::kBytes;
  if (header->train_samples > most || header->validation_samples > most - header->train_samples ||
      header->classes > header->index_bytes / 4 || header->classes == 0) {
    return Damaged("the header promises more than the index can hold");
  }
  if (PackCrc(file_.view.substr(header->index_offset, header->index_bytes)) != header->index_crc) {
    return Damaged("the index's checksum is wrong");
  }
  return *header;
}

absl::Status PackedData::CheckEntry(const PackEntry& entry, const PackHeader& header) const {
  if (entry.offset > header.index_offset || entry.size > header.index_offset - entry.offset) {
    return Damaged("an image goes beyond the file's end");
  }
  if (entry.label >= header.classes) return Damaged("an image has a class that does not exist");
  if ((entry.width == 0) != (entry.height == 0) ||
      (entry.width > 0 && uint64_t{3} * entry.width * entry.height != entry.size)) {
    return Damaged("an image's size contradicts its width and height");
  }
  if (entry.name_offset > names_.size()) return Damaged("a name goes beyond the index's end");
  return absl::OkStatus();
}

absl::Status PackedData::ReadIndex(const PackHeader& header) {
  BoundedReader reader(file_.view.substr(header.index_offset, header.index_bytes));
  for (uint32_t i = 0; i < header.classes; ++i) {
    const absl::string_view name = reader.Bytes(reader.U32Le());
    if (!reader.ok() || name.empty() || !IsPrintableUtf8(name)) {
      return Damaged("a class name is cut off or not text");
    }
    class_names_.emplace_back(name);
  }
  const uint64_t count = header.train_samples + header.validation_samples;
  const absl::string_view entries = reader.Bytes(count * PackEntry::kBytes);
  if (!reader.ok()) return Damaged("the index is cut off");
  names_ = reader.Bytes(reader.remaining());
  entries_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    entries_.push_back(PackEntry::Parse(entries.substr(i * PackEntry::kBytes, PackEntry::kBytes)));
    VIT_RETURN_IF_ERROR(CheckEntry(entries_.back(), header));
  }
  train_samples_ = static_cast<int64_t>(header.train_samples);
  native_size_ = static_cast<int>(header.native_size);
  checked_ = std::vector<std::atomic<bool>>(count);
  return absl::OkStatus();
}

absl::Status PackedData::Open(const fs::path& path) {
  path_ = path.string();
  VIT_ASSIGN_OR_RETURN(file_, MapFile(path));
  VIT_ASSIGN_OR_RETURN(const PackHeader header, ReadHeader());
  VIT_RETURN_IF_ERROR(ReadIndex(header));
  if (train_samples_ == 0) return Damaged("it has no training images");
  VIT_RETURN_IF_ERROR(OrderClasses());
  SetFingerprint();
  return absl::OkStatus();
}

absl::Status PackedData::OrderClasses() {
  // CIFAR and shapes: have their own orders.
  if (listing_version_ == 1 || !std::is_sorted(class_names_.begin(), class_names_.end())) {
    return absl::OkStatus();
  }
  ClassTable classes(listing_version_);
  for (const std::string& name : class_names_) {
    VIT_RETURN_IF_ERROR(classes.Add(DataSplit::kTrain, name, [&] { return path_; }));
  }
  VIT_ASSIGN_OR_RETURN(ClassTable::Order order, classes.Finish());
  class_names_ = std::move(order.names);
  for (PackEntry& entry : entries_) entry.label = order.labels[entry.label];
  return absl::OkStatus();
}

void PackedData::SetFingerprint() {
  Fingerprint fingerprint;
  for (const std::string& name : class_names_) fingerprint.Add(name);
  fingerprint.Add(train_samples_);
  for (const PackEntry& entry : entries_) {
    fingerprint.Add(entry.label);
    fingerprint.Add(entry.size);
    fingerprint.Add(entry.crc);
  }
  fingerprint_ = fingerprint.Hex();
}

std::string PackedData::name(DataSplit split, int64_t index) const {
  BoundedReader reader(names_.substr(entries_[Place(split, index)].name_offset));
  const absl::string_view name = reader.Bytes(reader.U32Le());
  return absl::StrCat(path_, ":", Shown(name));
}

absl::StatusOr<absl::string_view> PackedData::Bytes(int64_t place) const {
  const PackEntry& entry = entries_[place];
  if (entry.size == 0) {
    return absl::InvalidArgumentError("it could not be read when the data was packed");
  }
  if (static_cast<int64_t>(entry.size) > options_.limits.max_bytes) {
    return OverLimitError(absl::StrCat("the image has ", entry.size, " bytes, over the limit of ",
                                       options_.limits.max_bytes));
  }
  const absl::string_view bytes = file_.view.substr(entry.offset, entry.size);
  if (!checked_[place].load(std::memory_order_relaxed)) {
    if (PackCrc(bytes) != entry.crc) {
      return absl::DataLossError(absl::StrCat("its checksum in ", path_, " is wrong"));
    }
    checked_[place].store(true, std::memory_order_relaxed);
  }
  return bytes;
}

absl::StatusOr<ImagePart> PackedData::LoadPart(DataSplit split, int64_t index,
                                               const PixelRequest& request) const {
  const int64_t place = Place(split, index);
  VIT_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(place));
  const PackEntry& entry = entries_[place];
  if (entry.width == 0) {
    return DecodePart(bytes, {options_.limits, apply_orientation_}, request);
  }
  return WholePart(Image{entry.width, entry.height, {bytes.begin(), bytes.end()}}, request);
}

absl::StatusOr<std::string> PackedData::ReadEncoded(DataSplit split, int64_t index) const {
  const int64_t place = Place(split, index);
  if (entries_[place].width > 0) return DataSet::ReadEncoded(split, index);
  VIT_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(place));
  return std::string(bytes);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenPackedData(const std::string& path,
                                                              const vit::v1::DataConfig& config,
                                                              const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(const fs::path file, ResolveUnderRoots(path, options.data_roots));
  auto packed =
      std::make_shared<PackedData>(options, config.apply_orientation(), config.listing_version());
  VIT_RETURN_IF_ERROR(packed->Open(file));
  return packed;
}

}  // namespace vit
