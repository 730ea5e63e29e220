#include "core/data/sources/tar/tar_shards.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/base/utf8.h"
#include "core/data/sources/class_names.h"
#include "core/data/sources/fingerprint.h"
#include "core/data/sources/passed_over_counts.h"
#include "core/data/sources/tar/find_shards.h"
#include "core/data/sources/tar/tar_samples.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using Shard = Shards::Shard;

class TarShards : public DataSet {
 public:
  TarShards(DataSetOptions options, bool apply_orientation, int listing_version)
      : options_(std::move(options)),
        apply_orientation_(apply_orientation),
        listing_version_(listing_version) {}

  absl::Status Index(const std::string& path);

  int64_t size(DataSplit split) const override {
    return static_cast<int64_t>(samples(split).size());
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return samples(split)[index].label;
  }
  std::string name(DataSplit split, int64_t index) const override {
    const Sample& sample = samples(split)[index];
    return Shown(absl::StrCat(shards_[sample.shard].path.string(), ":", sample.key));
  }
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override {
    VIT_ASSIGN_OR_RETURN(const std::string bytes, ReadEncoded(split, index));
    return DecodePart(bytes, {options_.limits, apply_orientation_}, request);
  }
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override {
    const Sample& sample = samples(split)[index];
    return ReadFilePart(shards_[sample.shard].path, sample.offset, sample.size,
                        options_.limits.max_bytes);
  }

 private:
  struct Sample {
    int32_t shard;
    int32_t label;
    int64_t offset;
    int64_t size;
    std::string key;
  };

  const std::vector<Sample>& samples(DataSplit split) const {
    return samples_[split == DataSplit::kTrain ? 0 : 1];
  }
  absl::Status AddSamples(std::vector<TarSamples> archives);
  void SetFingerprint();

  const DataSetOptions options_;
  const bool apply_orientation_;
  const int listing_version_;
  std::vector<Shard> shards_;
  std::array<std::vector<Sample>, 2> samples_;  // training, validation
};

// Reads every archive's headers, several archives at once, because the disk is what takes time.
absl::StatusOr<std::vector<TarSamples>> ReadArchives(const std::vector<Shard>& shards,
                                                     int listing_version) {
  constexpr int kThreads = 8;
  std::vector<absl::Status> statuses(shards.size());
  std::vector<TarSamples> archives(shards.size());
  {
    TaskPool pool("index", std::min<int>(kThreads, static_cast<int>(shards.size())),
                  static_cast<int>(shards.size()));
    for (size_t i = 0; i < shards.size(); ++i) {
      VIT_RETURN_IF_ERROR(pool.Run([&, i] {
        statuses[i] = CatchExceptions("index", [&] {
          VIT_ASSIGN_OR_RETURN(archives[i], ReadTarSamples(shards[i].path, listing_version));
          return absl::OkStatus();
        });
      }));
    }
  }
  for (const absl::Status& status : statuses) VIT_RETURN_IF_ERROR(status);
  return archives;
}

absl::Status TarShards::Index(const std::string& path) {
  VIT_ASSIGN_OR_RETURN(Shards found, FindShards(path, options_.data_roots, listing_version_));
  shards_ = std::move(found.shards);
  notes_ = std::move(found.notes);
  VIT_ASSIGN_OR_RETURN(std::vector<TarSamples> archives, ReadArchives(shards_, listing_version_));
  VIT_RETURN_IF_ERROR(AddSamples(std::move(archives)));
  SetFingerprint();
  return absl::OkStatus();
}

// Checks that either all images have their own label or none: if some do, the folder's name of
// another one is not its class.
absl::Status CheckLabelled(const std::vector<Shards::Shard>& shards,
                           const std::vector<TarSamples>& archives) {
  std::string labelled, by_folder;
  for (size_t i = 0; i < shards.size(); ++i) {
    const auto name = [&](const std::string& key) {
      return absl::StrCat(shards[i].path.string(), ": sample ", Shown(key));
    };
    if (labelled.empty() && !archives[i].first_labelled.empty()) {
      labelled = name(archives[i].first_labelled);
    }
    if (by_folder.empty() && !archives[i].first_by_folder.empty()) {
      by_folder = name(archives[i].first_by_folder);
    }
  }
  if (labelled.empty() || by_folder.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      by_folder, " has neither a .cls file nor a label in a .json file, while others do (",
      labelled, "); give it one, or remove it"));
}

absl::Status TarShards::AddSamples(std::vector<TarSamples> archives) {
  if (listing_version_ > 1) VIT_RETURN_IF_ERROR(CheckLabelled(shards_, archives));
  ClassTable classes(listing_version_);
  PassedOverCounts passed_over;
  for (size_t i = 0; i < shards_.size(); ++i) {
    const DataSplit split =
        shards_[i].split == SplitWord::kTrain ? DataSplit::kTrain : DataSplit::kValidation;
    for (TarSamples::Sample& sample : archives[i].samples) {
      VIT_ASSIGN_OR_RETURN(const int32_t label, classes.Add(split, sample.label, [&] {
        return absl::StrCat(shards_[i].path.string(), ": sample ", Shown(sample.key));
      }));
      samples_[split == DataSplit::kTrain ? 0 : 1].push_back(
          {static_cast<int32_t>(i), label, sample.offset, sample.size, std::move(sample.key)});
    }
    passed_over.AddAll(archives[i].passed_over);
    archives[i] = {};
  }
  passed_over_ = passed_over.files();
  if (samples_[0].empty()) {
    std::string message =
        absl::StrCat("no images in the training archives (", shards_.front().path.string(),
                     shards_.size() > 1 ? " and others" : "",
                     "); expected KEY.jpg and KEY.cls, or CLASS/KEY.jpg");
    for (const std::string& note : DataNotes(*this)) absl::StrAppend(&message, "; ", note);
    return absl::InvalidArgumentError(message);
  }
  VIT_ASSIGN_OR_RETURN(ClassTable::Order order, classes.Finish());
  class_names_ = std::move(order.names);
  for (std::vector<Sample>& samples : samples_) {
    for (Sample& sample : samples) sample.label = order.labels[sample.label];
  }
  return absl::OkStatus();
}

void TarShards::SetFingerprint() {
  Fingerprint fingerprint;
  for (const std::string& name : class_names_) fingerprint.Add(name);
  for (const std::vector<Sample>& samples : samples_) {
    fingerprint.Add(static_cast<int64_t>(samples.size()));
    for (const Sample& sample : samples) {
      fingerprint.Add(sample.label);
      fingerprint.Add(sample.key);
      fingerprint.Add(sample.size);
    }
  }
  fingerprint_ = fingerprint.Hex();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenTarShards(const std::string& path,
                                                             const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options) {
  auto shards =
      std::make_shared<TarShards>(options, config.apply_orientation(), config.listing_version());
  VIT_RETURN_IF_ERROR(shards->Index(path));
  return shards;
}

}  // namespace vit
