#include "core/data/sources/tar/find_shards.h"

#include <algorithm>
#include <map>
#include <optional>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/sources/tar/brace_pattern.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using Shard = Shards::Shard;

class ShardFinder {
 public:
  ShardFinder(const std::vector<std::string>& roots, int listing_version)
      : roots_(roots), is_v1_(listing_version == 1) {}

  absl::StatusOr<Shards> Run(const std::string& path);

 private:
  // Returns the split that the words of a name give: "imagenet-val-003".
  std::optional<SplitWord> NamedSplit(const fs::path& name) const;
  // Returns the split that a folder of this name is.
  std::optional<SplitWord> FolderSplit(const std::string& name) const;
  absl::Status FindByPattern(const std::string& pattern);
  absl::Status FindInFolder(const fs::path& folder);
  // The archives in `folder`, sorted by bytes.
  absl::StatusOr<std::vector<fs::path>> ListArchives(const fs::path& folder) const;
  absl::Status LeaveTestOut();

  const std::vector<std::string>& roots_;
  const bool is_v1_;
  Shards found_;
};

std::optional<SplitWord> ShardFinder::NamedSplit(const fs::path& name) const {
  std::optional<SplitWord> split;
  for (const absl::string_view word : absl::StrSplit(name.string(), absl::ByAnyChar("-_. "))) {
    const std::string lower = absl::AsciiStrToLower(word);
    if (is_v1_ && (lower == "training" || lower == "testing" || lower == "dev")) continue;
    const std::optional<SplitWord> said = ParseSplitWord(lower);
    if (said == SplitWord::kTrain) return said;
    if (said == SplitWord::kValidation || (said == SplitWord::kTest && !split.has_value())) {
      split = said;
    }
  }
  return split;
}

std::optional<SplitWord> ShardFinder::FolderSplit(const std::string& name) const {
  if (is_v1_ && name != "train" && name != "val" && name != "validation" && name != "test") {
    return std::nullopt;
  }
  return ParseSplitWord(name);
}

absl::StatusOr<std::vector<fs::path>> ShardFinder::ListArchives(const fs::path& folder) const {
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
    VIT_ASSIGN_OR_RETURN(fs::path path, ResolveUnderRoots((folder / name).string(), roots_));
    paths.push_back(std::move(path));
  }
  return paths;
}

absl::Status ShardFinder::FindInFolder(const fs::path& folder) {
  std::map<SplitWord, std::vector<std::string>> folders;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const std::string name = entry.path().filename().string();
    const std::optional<SplitWord> split = FolderSplit(name);
    if (split.has_value() && entry.is_directory(code)) folders[*split].push_back(name);
  }
  const absl::StatusOr<std::vector<fs::path>> beside = ListArchives(folder);
  if (folders.count(SplitWord::kTrain) == 0) {
    VIT_RETURN_IF_ERROR(beside.status());
    for (const fs::path& path : *beside) {
      found_.shards.push_back({path, NamedSplit(path.stem()).value_or(SplitWord::kTrain)});
    }
    return absl::OkStatus();
  }
  if (beside.ok() && !beside->empty()) {
    found_.notes.push_back(absl::StrCat("not used: the archives beside ",
                                        folders[SplitWord::kTrain].front(), "/, such as ",
                                        beside->front().string()));
  }
  for (auto& [split, names] : folders) {
    std::sort(names.begin(), names.end());
    if (!is_v1_ && names.size() > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(folder.string(), " has both ", names[0], "/ and ", names[1],
                       "/, and each could be the same split; rename or remove one of them"));
    }
    for (const std::string& name : names) {
      VIT_ASSIGN_OR_RETURN(const fs::path inner,
                           ResolveUnderRoots((folder / name).string(), roots_));
      VIT_ASSIGN_OR_RETURN(const std::vector<fs::path> paths, ListArchives(inner));
      for (const fs::path& path : paths) found_.shards.push_back({path, split});
    }
  }
  return absl::OkStatus();
}

absl::Status ShardFinder::FindByPattern(const std::string& pattern) {
  VIT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ExpandBraces(pattern));
  // In {train,val}/shard-{0..9}.tar the folders give the split.
  const bool folders_vary = pattern.find_first_of("{}") < pattern.rfind('/');
  for (const fs::path name : names) {
    VIT_ASSIGN_OR_RETURN(const fs::path resolved, ResolveUnderRoots(name.string(), roots_));
    std::optional<SplitWord> split = NamedSplit(name.stem());
    if (!split.has_value() && folders_vary) split = NamedSplit(name.parent_path().filename());
    found_.shards.push_back({resolved, split.value_or(SplitWord::kTrain)});
  }
  return absl::OkStatus();
}

absl::Status ShardFinder::LeaveTestOut() {
  const auto count = [&](SplitWord split) {
    return std::count_if(found_.shards.begin(), found_.shards.end(),
                         [&](const Shard& shard) { return shard.split == split; });
  };
  if (count(SplitWord::kTrain) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("no training archives (found ", found_.shards.size(),
                     " .tar files, for validation and test by their names); expected PATH/*.tar, "
                     "PATH/train/*.tar or a pattern such as PATH/train-{000..009}.tar"));
  }
  const int64_t test = count(SplitWord::kTest);
  if (test == 0) return absl::OkStatus();
  if (count(SplitWord::kValidation) == 0) {
    found_.notes.push_back(
        "the archives for test are the source's validation split, as there are none "
        "for validation");
    return absl::OkStatus();
  }
  std::erase_if(found_.shards, [](const Shard& shard) { return shard.split == SplitWord::kTest; });
  found_.notes.push_back(absl::StrCat("not used: the ", test, test == 1 ? " archive" : " archives",
                                      " for test, as there are archives for validation"));
  return absl::OkStatus();
}

absl::StatusOr<Shards> ShardFinder::Run(const std::string& path) {
  if (path.find_first_of("{}") != std::string::npos) {
    VIT_RETURN_IF_ERROR(FindByPattern(path));
  } else {
    VIT_ASSIGN_OR_RETURN(const fs::path resolved, ResolveUnderRoots(path, roots_));
    if (!fs::is_directory(resolved)) {
      found_.shards.push_back({resolved, SplitWord::kTrain});
      return std::move(found_);
    }
    VIT_RETURN_IF_ERROR(FindInFolder(resolved));
  }
  VIT_RETURN_IF_ERROR(LeaveTestOut());
  return std::move(found_);
}

}  // namespace

absl::StatusOr<Shards> FindShards(const std::string& path, const std::vector<std::string>& roots,
                                  int listing_version) {
  return ShardFinder(roots, listing_version).Run(path);
}

}  // namespace vit
