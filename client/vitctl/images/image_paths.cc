#include "client/vitctl/images/image_paths.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

constexpr std::array<absl::string_view, 5> kExtensions = {".jpg", ".jpeg", ".png", ".webp", ".bmp"};

bool HasImageExtension(const fs::path& path) {
  const std::string extension = path.extension().string();
  return std::any_of(kExtensions.begin(), kExtensions.end(), [&](absl::string_view known) {
    return absl::EqualsIgnoreCase(extension, known);
  });
}

// Reads a folder and those below it.
class FolderReader {
 public:
  std::vector<ImagePath> Read(const std::string& folder) {
    folders_ = {folder};
    // Links come last, so that an image has the path through its own folder if there is one.
    while (!folders_.empty() || !links_.empty()) {
      if (folders_.empty()) {
        std::sort(links_.begin(), links_.end(), std::greater<>());
        folders_.swap(links_);
      }
      const std::string next = std::move(folders_.back());
      folders_.pop_back();
      ReadOne(next);
    }
    std::sort(images_.begin(), images_.end(),
              [](const ImagePath& a, const ImagePath& b) { return a.path < b.path; });
    return std::move(images_);
  }

 private:
  void ReadOne(const std::string& folder) {
    struct stat about = {};
    if (stat(folder.c_str(), &about) != 0) return Fail(folder, errno);
    if (!seen_.emplace(about.st_dev, about.st_ino).second) return;
    std::error_code error;
    fs::directory_iterator it(folder, error);
    for (const fs::directory_iterator end; !error && it != end; it.increment(error)) Add(*it);
    if (error) Fail(folder, error.value());
  }

  void Add(const fs::directory_entry& entry) {
    if (absl::StartsWith(entry.path().filename().string(), ".")) return;
    std::error_code error;
    if (entry.is_directory(error)) {
      (entry.is_symlink(error) ? links_ : folders_).push_back(entry.path().string());
    } else if (HasImageExtension(entry.path()) &&
               // A broken link is reported when it is read.
               (entry.is_regular_file(error) || !entry.exists(error))) {
      images_.push_back({entry.path().string(), absl::OkStatus()});
    }
  }

  void Fail(const std::string& folder, int code) {
    images_.push_back({folder, absl::ErrnoToStatus(code, "cannot read the folder")});
  }

  std::vector<std::string> folders_;
  std::vector<std::string> links_;  // to folders
  std::set<std::pair<dev_t, ino_t>> seen_;
  std::vector<ImagePath> images_;
};

void AddFileOrFolder(const std::string& name, std::vector<ImagePath>* images) {
  std::error_code error;
  if (!fs::is_directory(name, error)) {
    images->push_back({name, absl::OkStatus()});
    return;
  }
  std::vector<ImagePath> found = FolderReader().Read(name);
  if (found.empty()) {
    images->push_back(
        {name, absl::NotFoundError("no images in this folder or below it; images are recognised by "
                                   "the extensions jpg, jpeg, png, webp and bmp")});
  }
  std::move(found.begin(), found.end(), std::back_inserter(*images));
}

void AddMatches(const std::string& pattern, std::vector<ImagePath>* images) {
  glob_t found = {};
  const int code = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> names(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (code != 0) {
    images->push_back({pattern, code == GLOB_NOMATCH
                                    ? absl::NotFoundError("no such file, and none matches")
                                    : absl::UnknownError("the pattern cannot be matched")});
    return;
  }
  std::sort(names.begin(), names.end());  // glob would sort by locale
  for (const std::string& name : names) AddFileOrFolder(name, images);
}

}  // namespace

std::vector<ImagePath> FindImages(const std::vector<std::string>& arguments) {
  std::vector<ImagePath> images;
  for (const std::string& argument : arguments) {
    std::error_code error;
    const bool may_be_pattern = argument.find_first_of("*?[") != std::string::npos;
    if (may_be_pattern && !fs::exists(fs::symlink_status(argument, error))) {
      AddMatches(argument, &images);
    } else if (argument == "-") {
      images.push_back({argument, absl::OkStatus()});
    } else {
      AddFileOrFolder(argument, &images);
    }
  }
  return images;
}

std::vector<ImagePath> FindListedImages(const std::vector<std::string>& names) {
  std::vector<ImagePath> images;
  for (const std::string& name : names) AddFileOrFolder(name == "-" ? "./-" : name, &images);
  return images;
}

absl::StatusOr<std::vector<std::string>> ReadFileList(const std::string& file, std::istream& in) {
  std::ifstream stream;
  if (file != "-") {
    stream.open(file);
    if (!stream) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", file));
  }
  std::istream& lines = file == "-" ? in : stream;
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (lines.bad()) return absl::UnknownError(absl::StrCat("cannot read ", file));
  if (names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file == "-" ? "standard input" : file,
                                                   " names no files; expected one a line"));
  }
  return names;
}

}  // namespace vit
