#include "core/data/dataset.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/sources.h"
#include "core/spec/rules.h"

namespace vit {
namespace {

constexpr absl::string_view kExpectedSources =
    "expected shapes:, shapes:hard, folder:PATH, csv:PATH, wds:PATH, packed:PATH, cifar10:PATH or "
    "cifar100:PATH";

}  // namespace

void Fingerprint::Add(absl::string_view text) {
  // The length first, so that "ab", "c" and "a", "bc" differ.
  Add(static_cast<int64_t>(text.size()));
  for (const char c : text) AddByte(static_cast<uint8_t>(c));
}

void Fingerprint::Add(int64_t number) {
  for (int shift = 0; shift < 64; shift += 8) AddByte(static_cast<uint8_t>(number >> shift));
}

std::string Fingerprint::Hex() const { return absl::StrFormat("%016x", hash_); }

absl::StatusOr<DataSource> ParseDataSource(absl::string_view source) {
  DataSource parsed;
  const size_t colon = source.find(':');
  if (colon != absl::string_view::npos) {
    absl::StrAppend(&parsed.scheme, source.substr(0, colon));
    absl::StrAppend(&parsed.path, source.substr(colon + 1));
  }
  const auto bad = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.source is '", source, "': ", why, "; ", kExpectedSources));
  };
  if (parsed.scheme == "shapes") {
    if (!parsed.path.empty() && parsed.path != "hard") return bad("no such variant of shapes");
    return parsed;
  }
  constexpr absl::string_view kWithPath[] = {"folder", "csv",     "wds",
                                             "packed", "cifar10", "cifar100"};
  if (std::find(std::begin(kWithPath), std::end(kWithPath), parsed.scheme) == std::end(kWithPath)) {
    return bad(parsed.scheme.empty() ? "it names no kind of source" : "unknown kind of source");
  }
  if (parsed.path.empty()) return bad("the path is missing");
  if (parsed.path.front() != '/') return bad("the path is not absolute");
  return parsed;
}

namespace {

absl::StatusOr<std::shared_ptr<const DataSet>> OpenSource(const DataSource& source,
                                                          const vit::v1::DataConfig& config,
                                                          const DataSetOptions& options) {
  if (source.scheme == "shapes") {
    return OpenShapes(source.path == "hard", config.shapes(), options.image_size);
  }
  if (source.scheme == "folder") return OpenImageFolder(source.path, config, options);
  if (source.scheme == "csv") return OpenCsvList(source.path, config, options);
  if (source.scheme == "wds") return OpenTarShards(source.path, config, options);
  if (source.scheme == "packed") return OpenPackedData(source.path, config, options);
  return OpenCifar(source.path, source.scheme == "cifar10" ? 10 : 100, options);
}

}  // namespace

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
      absl::StrCat(name(split, index), " is no encoded picture, but bare pixels"));
}

std::string DataSet::FingerprintOf(const SampleSelection& train,
                                   const SampleSelection& validation) const {
  Fingerprint fingerprint;
  fingerprint.Add(fingerprint_);
  for (const SampleSelection* selection : {&train, &validation}) {
    fingerprint.Add(selection->from == DataSplit::kTrain ? "train" : "validation");
    fingerprint.Add(static_cast<int64_t>(selection->indices.size()));
    for (const int64_t index : selection->indices) fingerprint.Add(index);
  }
  return fingerprint.Hex();
}

std::vector<int64_t> ClassCounts(const DataSet& data, DataSplit split) {
  std::vector<int64_t> counts(data.class_names().size());
  for (int64_t i = 0; i < data.size(split); ++i) ++counts[data.label(split, i)];
  return counts;
}

std::vector<std::string> DataNotes(const DataSet& data) {
  std::vector<std::string> notes = data.notes();
  for (const PassedOver& files : data.passed_over()) {
    const std::string example = Shown(files.example);
    notes.push_back(absl::StrCat("passed over: ", files.count,
                                 files.count == 1 ? " file" : " files", " (", files.kind,
                                 "), such as ", example));
  }
  return notes;
}

void PassedOverCounts::Add(absl::string_view kind, absl::string_view example, int64_t count) {
  for (PassedOver& files : files_) {
    if (files.kind != kind) continue;
    files.count += count;
    return;
  }
  files_.push_back({std::string(kind), count, std::string(example)});
}

void PassedOverCounts::AddAll(const PassedOverCounts& other) {
  for (const PassedOver& files : other.files_) Add(files.kind, files.example, files.count);
}

}  // namespace vit
