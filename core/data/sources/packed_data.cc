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

// A mapped file of packed data and its index, checked.
struct Pack {
  std::string path;
  SharedBytes file;
  int64_t train_samples = 0;
  std::vector<PackEntry> entries;  // training, then validation
  absl::string_view names;         // in `file`
  std::vector<std::string> class_names;
  int native_size = 0;
};

absl::Status Damaged(const Pack& pack, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(pack.path, ": ", what,
                                          "; the file is damaged or not packed data; pack it "
                                          "again with vitctl pack-data"));
}

absl::StatusOr<PackHeader> ReadHeader(const Pack& pack) {
  const absl::string_view bytes = pack.file.view;
  const std::optional<PackHeader> header = PackHeader::Parse(bytes.substr(0, kPackPageBytes));
  if (!header.has_value()) return Damaged(pack, "the header is not that of packed data");
  // Each comparison keeps the next one's difference from wrapping around.
  if (header->index_offset > bytes.size() ||
      header->index_bytes > bytes.size() - header->index_offset) {
    return Damaged(pack, "the index goes beyond the file's end");
  }
  const uint64_t most = header->index_bytes / PackEntry::kBytes;
  if (header->train_samples > most || header->validation_samples > most - header->train_samples ||
      header->classes > header->index_bytes / 4 || header->classes == 0) {
    return Damaged(pack, "the header promises more than the index can hold");
  }
  if (PackCrc(bytes.substr(header->index_offset, header->index_bytes)) != header->index_crc) {
    return Damaged(pack, "the index's checksum is wrong");
  }
  return *header;
}

absl::Status CheckEntry(const Pack& pack, const PackEntry& entry, const PackHeader& header) {
  if (entry.offset > header.index_offset || entry.size > header.index_offset - entry.offset) {
    return Damaged(pack, "an image goes beyond the file's end");
  }
  if (entry.label >= header.classes) {
    return Damaged(pack, "an image has a class that does not exist");
  }
  if ((entry.width == 0) != (entry.height == 0) ||
      (entry.width > 0 && uint64_t{3} * entry.width * entry.height != entry.size)) {
    return Damaged(pack, "an image's size contradicts its width and height");
  }
  if (entry.name_offset > pack.names.size()) {
    return Damaged(pack, "a name goes beyond the index's end");
  }
  return absl::OkStatus();
}

absl::Status ReadIndex(const PackHeader& header, Pack* pack) {
  BoundedReader reader(pack->file.view.substr(header.index_offset, header.index_bytes));
  for (uint32_t i = 0; i < header.classes; ++i) {
    const absl::string_view name = reader.Bytes(reader.U32Le());
    if (!reader.ok() || name.empty() || !IsPrintableUtf8(name)) {
      return Damaged(*pack, "a class name is cut off or not text");
    }
    pack->class_names.emplace_back(name);
  }
  const uint64_t count = header.train_samples + header.validation_samples;
  const absl::string_view entries = reader.Bytes(count * PackEntry::kBytes);
  if (!reader.ok()) return Damaged(*pack, "the index is cut off");
  pack->names = reader.Bytes(reader.remaining());
  pack->entries.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    pack->entries.push_back(
        PackEntry::Parse(entries.substr(i * PackEntry::kBytes, PackEntry::kBytes)));
    VIT_RETURN_IF_ERROR(CheckEntry(*pack, pack->entries.back(), header));
  }
  pack->train_samples = static_cast<int64_t>(header.train_samples);
  pack->native_size = static_cast<int>(header.native_size);
  return absl::OkStatus();
}

// Gives classes the same order and form as in other sources if the file's are those of listing
// version 1, which sorted them by bytes.
absl::Status OrderClasses(int listing_version, Pack* pack) {
  // CIFAR and shapes: have their own orders.
  if (listing_version == 1 || !std::is_sorted(pack->class_names.begin(), pack->class_names.end())) {
    return absl::OkStatus();
  }
  ClassTable classes(listing_version);
  for (const std::string& name : pack->class_names) {
    VIT_RETURN_IF_ERROR(classes.Add(DataSplit::kTrain, name, [&] { return pack->path; }));
  }
  VIT_ASSIGN_OR_RETURN(ClassTable::Order order, classes.Finish());
  pack->class_names = std::move(order.names);
  for (PackEntry& entry : pack->entries) entry.label = order.labels[entry.label];
  return absl::OkStatus();
}

// Checks everything but the images themselves.
absl::StatusOr<Pack> OpenPack(const fs::path& path, int listing_version) {
  Pack pack{.path = path.string()};
  VIT_ASSIGN_OR_RETURN(pack.file, MapFile(path));
  VIT_ASSIGN_OR_RETURN(const PackHeader header, ReadHeader(pack));
  VIT_RETURN_IF_ERROR(ReadIndex(header, &pack));
  if (pack.train_samples == 0) return Damaged(pack, "it has no training images");
  VIT_RETURN_IF_ERROR(OrderClasses(listing_version, &pack));
  return pack;
}

DataSetFacts FactsOf(const Pack& pack) {
  Fingerprint fingerprint;
  for (const std::string& name : pack.class_names) fingerprint.Add(name);
  fingerprint.Add(pack.train_samples);
  for (const PackEntry& entry : pack.entries) {
    fingerprint.Add(entry.label);
    fingerprint.Add(entry.size);
    fingerprint.Add(entry.crc);
  }
  return {.class_names = pack.class_names,
          .native_size = pack.native_size,
          .fingerprint = fingerprint.Hex()};
}

class PackedData : public DataSet {
 public:
  PackedData(Pack pack, DataSetOptions options, bool apply_orientation)
      : DataSet(FactsOf(pack)),
        pack_(std::move(pack)),
        options_(std::move(options)),
        apply_orientation_(apply_orientation),
        checked_(pack_.entries.size()) {}

  int64_t size(DataSplit split) const override {
    return split == DataSplit::kTrain
               ? pack_.train_samples
               : static_cast<int64_t>(pack_.entries.size()) - pack_.train_samples;
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return pack_.entries[Place(split, index)].label;
  }
  std::string name(DataSplit split, int64_t index) const override;
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override;
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override;

 private:
  int64_t Place(DataSplit split, int64_t index) const {
    return split == DataSplit::kTrain ? index : pack_.train_samples + index;
  }
  // Returns the stored bytes; compares their checksum the first time.
  absl::StatusOr<absl::string_view> Bytes(int64_t place) const;

  const Pack pack_;
  const DataSetOptions options_;
  const bool apply_orientation_;
  mutable std::vector<std::atomic<bool>> checked_;  // by place
};

std::string PackedData::name(DataSplit split, int64_t index) const {
  BoundedReader reader(pack_.names.substr(pack_.entries[Place(split, index)].name_offset));
  const absl::string_view name = reader.Bytes(reader.U32Le());
  return absl::StrCat(pack_.path, ":", Shown(name));
}

absl::StatusOr<absl::string_view> PackedData::Bytes(int64_t place) const {
  const PackEntry& entry = pack_.entries[place];
  if (entry.size == 0) {
    return absl::InvalidArgumentError("it could not be read when the data was packed");
  }
  if (static_cast<int64_t>(entry.size) > options_.limits.max_bytes) {
    return OverLimitError(absl::StrCat("the image has ", entry.size, " bytes, over the limit of ",
                                       options_.limits.max_bytes));
  }
  const absl::string_view bytes = pack_.file.view.substr(entry.offset, entry.size);
  if (!checked_[place].load(std::memory_order_relaxed)) {
    if (PackCrc(bytes) != entry.crc) {
      return absl::DataLossError(absl::StrCat("its checksum in ", pack_.path, " is wrong"));
    }
    checked_[place].store(true, std::memory_order_relaxed);
  }
  return bytes;
}

absl::StatusOr<ImagePart> PackedData::LoadPart(DataSplit split, int64_t index,
                                               const PixelRequest& request) const {
  const int64_t place = Place(split, index);
  VIT_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(place));
  const PackEntry& entry = pack_.entries[place];
  if (entry.width == 0) {
    return DecodePart(bytes, {options_.limits, apply_orientation_}, request);
  }
  return WholePart(Image{entry.width, entry.height, {bytes.begin(), bytes.end()}}, request);
}

absl::StatusOr<std::string> PackedData::ReadEncoded(DataSplit split, int64_t index) const {
  const int64_t place = Place(split, index);
  if (pack_.entries[place].width > 0) return DataSet::ReadEncoded(split, index);
  VIT_ASSIGN_OR_RETURN(const absl::string_view bytes, Bytes(place));
  return std::string(bytes);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenPackedData(const std::string& path,
                                                              const vit::v1::DataConfig& config,
                                                              const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(const fs::path file, ResolveUnderRoots(path, options.data_roots));
  VIT_ASSIGN_OR_RETURN(Pack pack, OpenPack(file, config.listing_version()));
  return std::make_shared<PackedData>(std::move(pack), options, config.apply_orientation());
}

}  // namespace vit
