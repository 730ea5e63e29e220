#include "core/data/sources/tar/tar_shards.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/base/utf8.h"
#include "core/data/per_split.h"
#include "core/data/sources/class_names.h"
#include "core/data/sources/fingerprint.h"
#include "core/data/sources/passed_over_counts.h"
#include "core/data/sources/tar/find_shards.h"
#include "core/data/sources/tar/tar_samples.h"

namespace vit {
namespace {
using Shard = Shards::Shard;

// Images in archives, as their headers list them.
struct TarList {
  struct Sample {
    int32_t shard;
    int32_t label;
    int64_t offset;
    int64_t size;
    std::string key;
  };

  std::vector<Shard> shards;
  PerSplit<std::vector<Sample>> samples;
};

class TarShards : public DataSet {
 public:
  TarShards(TarList list, DataSetFacts facts, DataSetOptions options, bool apply_orientation)
      : DataSet(std::move(facts)),
        list_(std::move(list)),
        options_(std::move(options)),
        apply_orientation_(apply_orientation) {}

  int64_t size(DataSplit split) const override {
    return static_cast<int64_t>(list_.samples[split].size());
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return list_.samples[split][index].label;
  }
  std::string name(DataSplit split, int64_t index) const override {
    const TarList::Sample& sample = list_.samples[split][index];
    return Shown(absl::StrCat(list_.shards[sample.shard].path.string(), ":", sample.key));
  }
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override {
    VIT_ASSIGN_OR_RETURN(const std::string bytes, ReadEncoded(split, index));
    return DecodePart(bytes, {options_.limits, apply_orientation_}, request);
  }
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override {
    const TarList::Sample& sample = list_.samples[split][index];
    return ReadFilePart(list_.shards[sample.shard].path, sample.offset, sample.size,
                        options_.limits.max_bytes);
  }

 private:
  const TarList list_;
  const DataSetOptions options_;
  const bool apply_orientation_;
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

// Checks that either all images have their own label or none: if some do, the folder's name of
// another one is not its class.
absl::Status CheckLabelled(const std::vector<Shard>& shards,
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

// Adds the samples of the archives, one for each shard of `list`, and sets the class names and the
// files passed over.
absl::Status AddSamples(std::vector<TarSamples> archives, int listing_version, TarList* list,
                        DataSetFacts* facts) {
  if (listing_version > 1) VIT_RETURN_IF_ERROR(CheckLabelled(list->shards, archives));
  ClassTable classes(listing_version);
  PassedOverCounts passed_over;
  for (size_t i = 0; i < list->shards.size(); ++i) {
    const Shard& shard = list->shards[i];
    const DataSplit split =
        shard.split == SplitWord::kTrain ? DataSplit::kTrain : DataSplit::kValidation;
    for (TarSamples::Sample& sample : archives[i].samples) {
      VIT_ASSIGN_OR_RETURN(const int32_t label, classes.Add(split, sample.label, [&] {
        return absl::StrCat(shard.path.string(), ": sample ", Shown(sample.key));
      }));
      list->samples[split].push_back(
          {static_cast<int32_t>(i), label, sample.offset, sample.size, std::move(sample.key)});
    }
    passed_over.AddAll(archives[i].passed_over);
    archives[i] = {};
  }
  facts->passed_over = passed_over.files();
  if (list->samples.train.empty()) {
    std::string message =
        absl::StrCat("no images in the training archives (", list->shards.front().path.string(),
                     list->shards.size() > 1 ? " and others" : "",
                     "); expected KEY.jpg and KEY.cls, or CLASS/KEY.jpg");
    for (const std::string& note : DataNotes(*facts)) absl::StrAppend(&message, "; ", note);
    return absl::InvalidArgumentError(message);
  }
  VIT_ASSIGN_OR_RETURN(facts->class_names, OrderClasses(classes, &list->samples));
  return absl::OkStatus();
}

std::string FingerprintOfSamples(const TarList& list, const std::vector<std::string>& class_names) {
  Fingerprint fingerprint;
  for (const std::string& name : class_names) fingerprint.Add(name);
  for (const DataSplit split : kDataSplits) {
    const std::vector<TarList::Sample>& samples = list.samples[split];
    fingerprint.Add(static_cast<int64_t>(samples.size()));
    for (const TarList::Sample& sample : samples) {
      fingerprint.Add(sample.label);
      fingerprint.Add(sample.key);
      fingerprint.Add(sample.size);
    }
  }
  return fingerprint.Hex();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenTarShards(const std::string& path,
                                                             const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options) {
  const int version = config.listing_version();
  VIT_ASSIGN_OR_RETURN(Shards found, FindShards(path, options.data_roots, version));
  TarList list{.shards = std::move(found.shards)};
  DataSetFacts facts{.notes = std::move(found.notes)};
  VIT_ASSIGN_OR_RETURN(std::vector<TarSamples> archives, ReadArchives(list.shards, version));
  VIT_RETURN_IF_ERROR(AddSamples(std::move(archives), version, &list, &facts));
  facts.fingerprint = FingerprintOfSamples(list, facts.class_names);
  return std::make_shared<TarShards>(std::move(list), std::move(facts), options,
                                     config.apply_orientation());
}

}  // namespace vit
