#include "core/data/sources/folder/image_folder_v1.h"

#include <sys/stat.h>

#include <algorithm>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/data/sources/file_list.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

struct Listing {
  std::vector<std::string> folders;
  std::vector<std::pair<std::string, int64_t>> images;
};

absl::StatusOr<Listing> List(const fs::path& folder, const std::vector<std::string>& roots) {
  Listing listing;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const std::string name = entry.path().filename().string();
    if (absl::StartsWith(name, ".")) continue;
    fs::path target = entry.path();
    struct stat info;
    if (lstat(target.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
      VIT_ASSIGN_OR_RETURN(target, ResolveUnderRoots(target.string(), roots));
    }
    if (stat(target.c_str(), &info) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("stat ", target.string()));
    }
    if (S_ISDIR(info.st_mode)) {
      listing.folders.push_back(name);
    } else if (S_ISREG(info.st_mode) && HasImageExtensionV1(name)) {
      listing.images.emplace_back(name, info.st_size);
    }
  }
  if (code) return absl::ErrnoToStatus(code.value(), absl::StrCat("read ", folder.string()));
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.images.begin(), listing.images.end());
  return listing;
}

absl::StatusOr<std::vector<ImageFolderV1::Class>> ListClasses(
    const fs::path& tree, const std::vector<std::string>& roots,
    const std::vector<std::string>& class_names) {
  VIT_ASSIGN_OR_RETURN(const Listing listing, List(tree, roots));
  std::vector<ImageFolderV1::Class> classes;
  for (const std::string& name : listing.folders) {
    const auto found = std::lower_bound(class_names.begin(), class_names.end(), name);
    if (found == class_names.end() || *found != name || !IsPrintableUtf8(name)) {
      return absl::InvalidArgumentError(absl::StrCat("class folder ", (tree / name).string(),
                                                     " is not one of the training split's"));
    }
    VIT_ASSIGN_OR_RETURN(Listing images, List(tree / name, roots));
    classes.push_back({(tree / name).string(), static_cast<int32_t>(found - class_names.begin()),
                       std::move(images.images)});
  }
  return classes;
}

}  // namespace

absl::StatusOr<ImageFolderV1> ListImageFolderV1(const fs::path& root,
                                                const std::vector<std::string>& roots) {
  VIT_ASSIGN_OR_RETURN(Listing listing, List(root, roots));
  const auto has = [&](absl::string_view name) {
    return std::binary_search(listing.folders.begin(), listing.folders.end(), name);
  };
  const bool has_splits = has("train");
  const std::string validation = !has_splits         ? ""
                                 : has("val")        ? "val"
                                 : has("validation") ? "validation"
                                 : has("test")       ? "test"
                                                     : "";
  const fs::path train = has_splits ? root / "train" : root;
  if (has_splits) {
    VIT_ASSIGN_OR_RETURN(listing, List(train, roots));
  }
  ImageFolderV1 all;
  all.class_names = std::move(listing.folders);
  VIT_ASSIGN_OR_RETURN(all.classes.train, ListClasses(train, roots, all.class_names));
  if (!validation.empty()) {
    VIT_ASSIGN_OR_RETURN(all.classes.validation,
                         ListClasses(root / validation, roots, all.class_names));
  }
  if (all.class_names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("no class folders under ", train.string()));
  }
  return all;
}

}  // namespace vit
