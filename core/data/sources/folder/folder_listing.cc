#include "core/data/sources/folder/folder_listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/image/image_format.h"
#include "core/data/sources/file_list.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

constexpr int kMaxDepth = 64;

bool IsIgnored(absl::string_view name) {
  return absl::StartsWith(name, ".") || name == "lost+found" || name == "__MACOSX" ||
         name == "@eaDir" || name == "Thumbs.db";
}

// Returns the first bytes of the regular file at `path`; empty if it cannot be read.
std::string ReadStart(const fs::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return "";
  std::string start(kImageStartBytes, '\0');
  struct stat info;
  ssize_t got = -1;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    do {
      got = pread(fd, start.data(), start.size(), 0);
    } while (got < 0 && errno == EINTR);
  }
  close(fd);
  start.resize(std::max<ssize_t>(got, 0));
  return start;
}

// The name does not show whether a WebP is animated.
bool NeedsLook(absl::string_view name) {
  return !HasImageExtension(name) || absl::EndsWithIgnoreCase(name, ".webp");
}

class Lister {
 public:
  Lister(const fs::path& folder, const std::vector<std::string>& roots, FolderListing* listing)
      : folder_(folder), roots_(roots), listing_(*listing) {}

  absl::Status Run();

 private:
  absl::Status Add(int directory, const char* name);
  // Adds a link that cannot be followed because of `why`.
  absl::Status AddBrokenLink(const std::string& name, const absl::Status& why);
  // `target`: the file, or what the link leads to.
  void AddFile(const std::string& name, const fs::path& target, int64_t size);
  void PassOver(absl::string_view kind, const std::string& name) {
    listing_.passed_over.Add(kind, (folder_ / name).string());
  }

  const fs::path& folder_;
  const std::vector<std::string>& roots_;
  FolderListing& listing_;
};

absl::Status Lister::Run() {
  struct Closer {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Closer> dir(opendir(folder_.c_str()));
  if (dir == nullptr && errno == ENOTDIR) {
    return absl::InvalidArgumentError(absl::StrCat(folder_.string(), " is not a folder"));
  }
  if (dir == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("open ", folder_.string()));
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", folder_.string()));
      break;
    }
    if (!IsIgnored(entry->d_name)) names.emplace_back(entry->d_name);
  }
  // char_traits<char> compares as unsigned bytes.
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) VIT_RETURN_IF_ERROR(Add(dirfd(dir.get()), name.c_str()));
  return absl::OkStatus();
}

absl::Status Lister::Add(int directory, const char* name) {
  struct stat info;
  if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", (folder_ / name).string()));
  }
  const bool is_link = S_ISLNK(info.st_mode);
  fs::path target = folder_ / name;
  if (is_link) {
    absl::StatusOr<fs::path> resolved = ResolveUnderRoots(target.string(), roots_);
    if (!resolved.ok()) return AddBrokenLink(name, resolved.status());
    target = *std::move(resolved);
    if (stat(target.c_str(), &info) != 0) {
      return AddBrokenLink(name, absl::ErrnoToStatus(errno, target.string()));
    }
  }
  if (S_ISDIR(info.st_mode)) {
    listing_.folders.push_back({name, is_link, {info.st_dev, info.st_ino}});
  } else if (S_ISREG(info.st_mode)) {
    AddFile(name, target, info.st_size);
  } else {
    PassOver("neither file nor folder", name);
  }
  return absl::OkStatus();
}

absl::Status Lister::AddBrokenLink(const std::string& name, const absl::Status& why) {
  struct stat info;
  if (stat((folder_ / name).c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return why;
  if (HasImageExtension(name)) {
    listing_.images.push_back({name, kUnreadableLink});
  } else {
    PassOver("a link that cannot be followed", name);
  }
  return absl::OkStatus();
}

void Lister::AddFile(const std::string& name, const fs::path& target, int64_t size) {
  if (NeedsLook(name)) {
    const RecognizedImage image = RecognizeImage(ReadStart(target));
    const bool by_name = HasImageExtension(name) && image.name != "animated WebP";
    if (!image.readable && !by_name) {
      return PassOver(image.name.empty() ? "not an image" : image.name, name);
    }
  }
  listing_.images.push_back({name, size});
}

class TreeLister {
 public:
  TreeLister(const std::vector<std::string>& roots, FolderListing* tree)
      : roots_(roots), tree_(*tree) {}

  // `below`: the path of `folder` in the tree, with a trailing slash; "" for the tree itself.
  absl::Status Run(const fs::path& folder, const std::string& below, int depth) {
    if (depth > kMaxDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat(folder.string(), " lies ", kMaxDepth,
                       " folders below its class; move the images up, or remove the folders"));
    }
    VIT_ASSIGN_OR_RETURN(FolderListing listing, ListFolder(folder, roots_));
    for (FolderListing::File& file : listing.images) {
      tree_.images.push_back({below + file.name, file.size});
    }
    tree_.passed_over.AddAll(listing.passed_over);
    for (const FolderListing::Folder& inner : listing.folders) {
      if (!seen_.insert(inner.identity).second && inner.is_link) {
        tree_.passed_over.Add("a link to a folder that is already listed",
                              (folder / inner.name).string());
        continue;
      }
      VIT_RETURN_IF_ERROR(
          Run(folder / inner.name, absl::StrCat(below, inner.name, "/"), depth + 1));
    }
    return absl::OkStatus();
  }

  void Saw(const fs::path& folder) {
    struct stat info;
    if (stat(folder.c_str(), &info) == 0) seen_.emplace(info.st_dev, info.st_ino);
  }

 private:
  const std::vector<std::string>& roots_;
  FolderListing& tree_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

absl::StatusOr<bool> HasImagesWithin(const fs::path& folder, const std::vector<std::string>& roots,
                                     int depth) {
  VIT_ASSIGN_OR_RETURN(const FolderListing listing, ListFolder(folder, roots));
  if (!listing.images.empty()) return true;
  for (const FolderListing::Folder& inner : listing.folders) {
    if (inner.is_link || depth == kMaxDepth) continue;
    VIT_ASSIGN_OR_RETURN(const bool any, HasImagesWithin(folder / inner.name, roots, depth + 1));
    if (any) return true;
  }
  return false;
}

}  // namespace

bool FolderListing::HasFolder(absl::string_view name) const {
  return std::any_of(folders.begin(), folders.end(),
                     [&](const Folder& folder) { return folder.name == name; });
}

absl::StatusOr<FolderListing> ListFolder(const fs::path& folder,
                                         const std::vector<std::string>& roots) {
  FolderListing listing;
  VIT_RETURN_IF_ERROR(Lister(folder, roots, &listing).Run());
  return listing;
}

absl::StatusOr<FolderListing> ListTree(const fs::path& folder,
                                       const std::vector<std::string>& roots) {
  FolderListing tree;
  TreeLister lister(roots, &tree);
  lister.Saw(folder);
  VIT_RETURN_IF_ERROR(lister.Run(folder, "", 0));
  std::sort(tree.images.begin(), tree.images.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return tree;
}

absl::StatusOr<bool> HasImages(const fs::path& folder, const std::vector<std::string>& roots) {
  return HasImagesWithin(folder, roots, 0);
}

}  // namespace vit
