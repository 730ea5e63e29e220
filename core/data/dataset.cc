#include "core/data/dataset.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/data_source.h"
#include "core/data/sources/fingerprint.h"
#include "core/data/sources/select_samples.h"
#include "core/spec/rules.h"

namespace vit {
absl::StatusOr<std::shared_ptr<const DataSet>> DataSet::Open(const vit::v1::DataConfig& config,
                                                             const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(std::shared_ptr<const DataSet> all, OpenWhole(config, options));
  vit::v1::DataConfig filled = config;
  FillRuleDefaults(&filled);
  return CatchExceptions("list", [&] {
    auto selected = SelectSamples(std::move(all), filled);
    return selected.ok() ? selected
                         : Annotate(selected.status(), absl::StrCat("data ", config.source()));
  });
}

absl::StatusOr<std::shared_ptr<const DataSet>> DataSet::OpenWhole(const vit::v1::DataConfig& config,
                                                                  const DataSetOptions& options) {
  if (config.source().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("data.source is not set; ", kExpectedSources));
  }
  VIT_ASSIGN_OR_RETURN(const DataSource source, ParseDataSource(config.source()));
  vit::v1::DataConfig filled = config;
  FillRuleDefaults(&filled);
  auto opened = CatchExceptions("list", [&] { return OpenSource(source, filled, options); });
  if (!opened.ok()) return Annotate(opened.status(), absl::StrCat("data ", config.source()));
  return opened;
}

absl::StatusOr<Image> DataSet::Load(DataSplit split, int64_t index, int min_short_side) const {
  VIT_ASSIGN_OR_RETURN(ImagePart whole, LoadPart(split, index, {.min_short_side = min_short_side}));
  return std::move(whole.image);
}

absl::StatusOr<std::string> DataSet::ReadEncoded(DataSplit split, int64_t index) const {
  return absl::UnimplementedError(
      absl::StrCat(name(split, index), " is bare pixels, not an encoded image"));
}

std::string DataSet::FingerprintOf(const SampleSelection& train,
                                   const SampleSelection& validation) const {
  Fingerprint fingerprint;
  fingerprint.Add(facts_.fingerprint);
  for (const SampleSelection* selection : {&train, &validation}) {
    fingerprint.Add(selection->from == DataSplit::kTrain ? "train" : "validation");
    fingerprint.Add(static_cast<int64_t>(selection->indices.size()));
    for (const int64_t index : selection->indices) fingerprint.Add(index);
  }
  return fingerprint.Hex();
}

SampleSelection WholeSplit(const DataSet& data, DataSplit split) {
  return WholeSplit(split, data.size(split));
}

SampleSelection WholeSplit(DataSplit split, int64_t size) {
  SampleSelection whole{split, std::vector<int64_t>(size)};
  std::iota(whole.indices.begin(), whole.indices.end(), 0);
  return whole;
}

std::vector<int64_t> ClassCounts(const DataSet& data, DataSplit split) {
  std::vector<int64_t> counts(data.class_names().size());
  for (int64_t i = 0; i < data.size(split); ++i) ++counts[data.label(split, i)];
  return counts;
}

std::vector<std::string> DataNotes(const DataSetFacts& facts) {
  std::vector<std::string> notes = facts.notes;
  for (const PassedOver& files : facts.passed_over) {
    const std::string example = Shown(files.example);
    notes.push_back(absl::StrCat("passed over: ", files.count,
                                 files.count == 1 ? " file" : " files", " (", files.kind,
                                 "), such as ", example));
  }
  return notes;
}

}  // namespace vit
