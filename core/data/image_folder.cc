// folder:PATH, pictures in one folder per class.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/file_list.h"
#include "core/data/sources.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

// What one folder holds: hidden entries left out, sorted by bytes.
struct Listing {
  struct File {
    std::string name;
    int64_t size;
  };
  std::vector<std::string> folders;
  std::vector<File> pictures;
  int other_files = 0;

  size_t file_count() const { return pictures.size() + other_files; }
};

// Lists `folder`. A symbolic link stands for what it leads to, which must lie under the data roots.
absl::StatusOr<Listing> List(const fs::path& folder, const std::vector<std::string>& roots) {
  struct Closer {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Closer> dir(opendir(folder.c_str()));
  if (dir == nullptr && errno == ENOTDIR) {
    return absl::InvalidArgumentError(absl::StrCat(folder.string(), " is not a folder"));
  }
  if (dir == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("open ", folder.string()));
  Listing listing;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", folder.string()));
      break;
    }
    const absl::string_view name = entry->d_name;
    if (absl::StartsWith(name, ".")) continue;
    struct stat info;
    if (fstatat(dirfd(dir.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("stat ", (folder / entry->d_name).string()));
    }
    if (S_ISLNK(info.st_mode)) {
      VIT_ASSIGN_OR_RETURN(const fs::path target,
                           ResolveUnderRoots((folder / entry->d_name).string(), roots));
      if (stat(target.c_str(), &info) != 0) {
        return absl::ErrnoToStatus(errno, absl::StrCat("stat ", target.string()));
      }
    }
    if (S_ISDIR(info.st_mode)) {
      listing.folders.emplace_back(name);
    } else if (S_ISREG(info.st_mode) && HasPictureExtension(name)) {
      listing.pictures.push_back({entry->d_name, info.st_size});
    } else {
      ++listing.other_files;
    }
  }
  // char_traits<char> compares as unsigned bytes.
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.pictures.begin(), listing.pictures.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return listing;
}

class ImageFolder : public FileListDataSet {
 public:
  ImageFolder(DataSetOptions options, bool apply_orientation)
      : FileListDataSet(std::move(options), apply_orientation) {}

  absl::Status ListAll(const fs::path& root);

 private:
  // Appends the pictures of `tree`'s class folders to `samples`; `class_names_` decides the labels.
  absl::Status AddTree(const fs::path& tree, const Listing& listing, std::vector<Sample>* samples);
};

// A class's name goes into files of lines, JSON and answers.
absl::Status CheckClassName(const fs::path& tree, const std::string& name) {
  if (IsPrintableUtf8(name)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("class folder ", absl::CEscape((tree / name).string()),
                   " is not named in UTF-8 without control characters; rename it"));
}

absl::Status ImageFolder::ListAll(const fs::path& root) {
  VIT_ASSIGN_OR_RETURN(Listing listing, List(root, options_.data_roots));
  const auto has = [&](absl::string_view name) {
    return std::binary_search(listing.folders.begin(), listing.folders.end(), name);
  };
  const bool has_train_folder = has("train");
  const std::string validation = has("val")          ? "val"
                                 : has("validation") ? "validation"
                                 : has("test")       ? "test"
                                                     : "";
  fs::path train = root;
  if (has_train_folder) {
    train = root / "train";
    VIT_ASSIGN_OR_RETURN(listing, List(train, options_.data_roots));
  } else if (!validation.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(root.string(), " has ", validation,
                     "/ but no train/; expected train/<class>/*.jpg beside it"));
  }
  if (listing.folders.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no class folders under ", train.string(), " (found 0 directories, ", listing.file_count(),
        listing.file_count() == 1 ? " file" : " files", "); expected ",
        has_train_folder ? "train/<class>/*.jpg" : "train/<class>/*.jpg or <class>/*.jpg"));
  }
  for (const std::string& name : listing.folders) VIT_RETURN_IF_ERROR(CheckClassName(train, name));
  class_names_ = listing.folders;
  VIT_RETURN_IF_ERROR(AddTree(train, listing, &samples_[0]));
  if (has_train_folder && !validation.empty()) {
    const fs::path tree = root / validation;
    VIT_ASSIGN_OR_RETURN(const Listing held_out, List(tree, options_.data_roots));
    if (held_out.folders.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("no class folders under ", tree.string(), " (found 0 directories, ",
                       held_out.file_count(), " files); expected ", validation, "/<class>/*.jpg"));
    }
    VIT_RETURN_IF_ERROR(AddTree(tree, held_out, &samples_[1]));
  }
  SetFingerprint();
  return absl::OkStatus();
}

absl::Status ImageFolder::AddTree(const fs::path& tree, const Listing& listing,
                                  std::vector<Sample>* samples) {
  for (const std::string& name : listing.folders) {
    const auto found = std::lower_bound(class_names_.begin(), class_names_.end(), name);
    if (found == class_names_.end() || *found != name) {
      return absl::InvalidArgumentError(
          absl::StrCat("class folder ", (tree / name).string(), " has no counterpart in train/"));
    }
    const fs::path folder = tree / name;
    VIT_ASSIGN_OR_RETURN(Listing pictures, List(folder, options_.data_roots));
    if (pictures.pictures.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "class folder ", folder.string(), " has no pictures (found ", pictures.folders.size(),
          " directories, ", pictures.file_count(),
          " other files); expected .jpg, .jpeg, .png, .webp or .bmp files, or remove the folder"));
    }
    const int32_t label = static_cast<int32_t>(found - class_names_.begin());
    for (Listing::File& file : pictures.pictures) {
      samples->push_back(
          {static_cast<int32_t>(folders_.size()), label, std::move(file.name), file.size});
    }
    folders_.push_back(folder.string());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageFolder(const std::string& path,
                                                               const vit::v1::DataConfig& config,
                                                               const DataSetOptions& options) {
  VIT_ASSIGN_OR_RETURN(const fs::path root, ResolveUnderRoots(path, options.data_roots));
  auto folder = std::make_shared<ImageFolder>(
      options, config.has_apply_orientation() ? config.apply_orientation() : true);
  VIT_RETURN_IF_ERROR(folder->ListAll(root));
  return folder;
}

}  // namespace vit
