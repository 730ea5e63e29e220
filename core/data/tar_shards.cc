// wds:PATH, tar archives in WebDataset's layout (https://github.com/webdataset/webdataset): the
// files of a sample follow each other and differ in what comes after the first dot of their names.
#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/task_pool.h"
#include "core/base/utf8.h"
#include "core/data/brace_pattern.h"
#include "core/data/file_list.h"
#include "core/data/sources.h"
#include "core/data/tar_reader.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

constexpr int64_t kMaxLabelBytes = 256;

std::string Shown(absl::string_view text) {
  return IsPrintableUtf8(text) ? std::string(text) : absl::CEscape(text);
}

// A sample as an archive has it.
struct Entry {
  std::string key;
  std::string label;
  int64_t offset = 0;
  int64_t size = 0;
};

// Puts the samples of one archive together from its files.
class Grouper {
 public:
  // `path` must outlive this object.
  explicit Grouper(const fs::path& path) : path_(path) {}

  absl::Status Run();
  std::vector<Entry> TakeEntries() { return std::move(entries_); }

 private:
  absl::Status Add(TarReader* tar, const TarMember& member);
  // The sample is whole.
  absl::Status Flush();
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(path_.string(), ": sample ", Shown(entry_.key), " ", what));
  }

  const fs::path& path_;
  std::vector<Entry> entries_;
  Entry entry_;  // being put together
  bool has_picture_ = false;
};

absl::Status Grouper::Run() {
  VIT_ASSIGN_OR_RETURN(TarReader tar, TarReader::Open(path_));
  TarMember member;
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool any, tar.Next(&member));
    if (!any) return Flush();
    VIT_RETURN_IF_ERROR(Add(&tar, member));
  }
}

absl::Status Grouper::Add(TarReader* tar, const TarMember& member) {
  const size_t base = member.name.rfind('/') + 1;  // npos + 1 is 0
  const size_t dot = member.name.find('.', base);
  // Hidden files (macOS puts "._name" beside each file), and files that are no part of a sample.
  if (dot == base || dot == std::string::npos) return absl::OkStatus();
  const absl::string_view key = absl::string_view(member.name).substr(0, dot);
  const std::string extension = absl::AsciiStrToLower(member.name.substr(dot + 1));
  if (key != entry_.key) {
    VIT_RETURN_IF_ERROR(Flush());
    entry_.key = std::string(key);
  }
  if (extension == "cls") {
    VIT_ASSIGN_OR_RETURN(const std::string label, tar->Read(member, kMaxLabelBytes));
    if (!entry_.label.empty()) return Error("has two .cls files");
    entry_.label = std::string(absl::StripAsciiWhitespace(label));
    if (entry_.label.empty()) return Error("has an empty .cls file");
  } else if (HasPictureExtension(absl::StrCat(".", extension)) &&
             extension.find('.') == std::string::npos) {
    if (has_picture_) return Error("has two pictures; expected one (.jpg, .png, .webp or .bmp)");
    has_picture_ = true;
    entry_.offset = member.offset;
    entry_.size = member.size;
  }
  return absl::OkStatus();
}

absl::Status Grouper::Flush() {
  if (has_picture_) {
    if (entry_.label.empty()) {  // the folder's name, then
      const std::vector<absl::string_view> parts = absl::StrSplit(entry_.key, '/');
      if (parts.size() >= 2) entry_.label = std::string(parts[parts.size() - 2]);
    }
    if (entry_.label.empty()) return Error("has no class: neither a .cls file nor a folder's name");
    if (!IsPrintableUtf8(entry_.label)) {
      return Error("has a class that is not named in UTF-8 without control characters");
    }
    entries_.push_back(std::move(entry_));
  }
  entry_ = {};
  has_picture_ = false;
  return absl::OkStatus();
}

enum class Part { kTrain, kValidation, kTest };

struct Shard {
  fs::path path;
  Part part = Part::kTrain;
};

// Which split the words of a name say: "imagenet-val-003".
std::optional<Part> NamedPart(const fs::path& name) {
  std::optional<Part> part;
  const std::string lower = absl::AsciiStrToLower(name.string());
  for (const absl::string_view word : absl::StrSplit(lower, absl::ByAnyChar("-_. "))) {
    if (word == "train") return Part::kTrain;
    if (word == "val" || word == "valid" || word == "validation") part = Part::kValidation;
    if (word == "test" && !part.has_value()) part = Part::kTest;
  }
  return part;
}

// Which split an archive belongs to by its name.
Part PartOf(const fs::path& path) { return NamedPart(path.stem()).value_or(Part::kTrain); }

// The archives in `folder`, sorted by bytes.
absl::StatusOr<std::vector<fs::path>> ListArchives(const fs::path& folder,
                                                   const std::vector<std::string>& roots) {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const std::string name = entry.path().filename().string();
    if (!absl::StartsWith(name, ".") && absl::EndsWith(name, ".tar")) names.push_back(name);
  }
  if (code) return absl::ErrnoToStatus(code.value(), absl::StrCat("read ", folder.string()));
  std::sort(names.begin(), names.end());
  std::vector<fs::path> paths;
  for (const std::string& name : names) {
    VIT_ASSIGN_OR_RETURN(fs::path path, ResolveUnderRoots((folder / name).string(), roots));
    paths.push_back(std::move(path));
  }
  return paths;
}

absl::StatusOr<std::vector<Shard>> FindInFolder(const fs::path& folder,
                                                const std::vector<std::string>& roots) {
  std::vector<Shard> shards;
  std::error_code code;
  if (!fs::is_directory(folder / "train", code)) {
    VIT_ASSIGN_OR_RETURN(const std::vector<fs::path> paths, ListArchives(folder, roots));
    for (const fs::path& path : paths) shards.push_back({path, PartOf(path)});
    return shards;
  }
  for (const auto& [name, part] : {std::pair{"train", Part::kTrain},
                                   {"val", Part::kValidation},
                                   {"validation", Part::kValidation},
                                   {"test", Part::kTest}}) {
    if (!fs::is_directory(folder / name, code)) continue;
    VIT_ASSIGN_OR_RETURN(const fs::path inner, ResolveUnderRoots((folder / name).string(), roots));
    VIT_ASSIGN_OR_RETURN(const std::vector<fs::path> paths, ListArchives(inner, roots));
    for (const fs::path& path : paths) shards.push_back({path, part});
  }
  return shards;
}

// The archives that `path` stands for; a validation split leaves the test archives out.
absl::StatusOr<std::vector<Shard>> FindShards(const std::string& path,
                                              const std::vector<std::string>& roots) {
  std::vector<Shard> shards;
  if (path.find_first_of("{}") != std::string::npos) {
    VIT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ExpandBraces(path));
    // In {train,val}/shard-{0..9}.tar the folders say it.
    const bool folders_vary = path.find_first_of("{}") < path.rfind('/');
    for (const fs::path name : names) {
      VIT_ASSIGN_OR_RETURN(const fs::path resolved, ResolveUnderRoots(name.string(), roots));
      std::optional<Part> part = NamedPart(name.stem());
      if (!part.has_value() && folders_vary) part = NamedPart(name.parent_path().filename());
      shards.push_back({resolved, part.value_or(Part::kTrain)});
    }
  } else {
    VIT_ASSIGN_OR_RETURN(const fs::path resolved, ResolveUnderRoots(path, roots));
    if (!fs::is_directory(resolved)) return std::vector<Shard>{{resolved, Part::kTrain}};
    VIT_ASSIGN_OR_RETURN(shards, FindInFolder(resolved, roots));
  }
  const auto count = [&](Part part) {
    return std::count_if(shards.begin(), shards.end(),
                         [&](const Shard& shard) { return shard.part == part; });
  };
  if (count(Part::kTrain) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("no training archives (found ", shards.size(),
                     " .tar files, for validation and test by their names); expected PATH/*.tar, "
                     "PATH/train/*.tar or a pattern such as PATH/train-{000..009}.tar"));
  }
  if (count(Part::kValidation) > 0) {
    std::erase_if(shards, [](const Shard& shard) { return shard.part == Part::kTest; });
  }
  return shards;
}

class TarShards : public DataSet {
 public:
  TarShards(DataSetOptions options, bool apply_orientation)
      : options_(std::move(options)), apply_orientation_(apply_orientation) {}

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
  absl::Status AddSamples(std::vector<std::vector<Entry>> entries);
  void SetFingerprint();

  const DataSetOptions options_;
  const bool apply_orientation_;
  std::vector<Shard> shards_;
  std::array<std::vector<Sample>, 2> samples_;  // training, validation
};

// Reads every archive's headers, several archives at once: it is the disk that takes its time.
absl::StatusOr<std::vector<std::vector<Entry>>> ReadIndexes(const std::vector<Shard>& shards) {
  constexpr int kThreads = 8;
  std::vector<absl::Status> statuses(shards.size());
  std::vector<std::vector<Entry>> entries(shards.size());
  {
    TaskPool pool("index", std::min<int>(kThreads, static_cast<int>(shards.size())),
                  static_cast<int>(shards.size()));
    for (size_t i = 0; i < shards.size(); ++i) {
      VIT_RETURN_IF_ERROR(pool.Run([&, i] {
        statuses[i] = CatchExceptions("index", [&] {
          Grouper grouper(shards[i].path);
          VIT_RETURN_IF_ERROR(grouper.Run());
          entries[i] = grouper.TakeEntries();
          return absl::OkStatus();
        });
      }));
    }
  }
  for (const absl::Status& status : statuses) VIT_RETURN_IF_ERROR(status);
  return entries;
}

absl::Status TarShards::Index(const std::string& path) {
  VIT_ASSIGN_OR_RETURN(shards_, FindShards(path, options_.data_roots));
  VIT_ASSIGN_OR_RETURN(std::vector<std::vector<Entry>> entries, ReadIndexes(shards_));
  VIT_RETURN_IF_ERROR(AddSamples(std::move(entries)));
  SetFingerprint();
  return absl::OkStatus();
}

absl::Status TarShards::AddSamples(std::vector<std::vector<Entry>> entries) {
  std::set<std::string> names;
  for (size_t i = 0; i < shards_.size(); ++i) {
    if (shards_[i].part != Part::kTrain) continue;
    for (const Entry& entry : entries[i]) names.insert(entry.label);
  }
  if (names.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no pictures in the training archives (", shards_.front().path.string(),
                     shards_.size() > 1 ? " and others" : "",
                     "); expected KEY.jpg and KEY.cls, or CLASS/KEY.jpg"));
  }
  class_names_ = OrderClassNames({names.begin(), names.end()});
  std::unordered_map<std::string, int32_t> labels;
  for (const std::string& name : class_names_) {
    labels.emplace(name, static_cast<int32_t>(labels.size()));
  }
  for (size_t i = 0; i < shards_.size(); ++i) {
    for (Entry& entry : entries[i]) {
      const auto label = labels.find(entry.label);
      if (label == labels.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat(shards_[i].path.string(), ": sample ", Shown(entry.key), " is of class '",
                         entry.label, "', which no training picture has"));
      }
      samples_[shards_[i].part == Part::kTrain ? 0 : 1].push_back(
          {static_cast<int32_t>(i), label->second, entry.offset, entry.size, std::move(entry.key)});
    }
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
  auto shards = std::make_shared<TarShards>(
      options, config.has_apply_orientation() ? config.apply_orientation() : true);
  VIT_RETURN_IF_ERROR(shards->Index(path));
  return shards;
}

}  // namespace vit
