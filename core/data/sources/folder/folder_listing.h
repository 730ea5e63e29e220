// What folders of images hold.
#ifndef VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_LISTING_H_
#define VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_LISTING_H_

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/sources.h"

namespace vit {

// A folder's entries, or a tree's. Hidden ones are left out, and what systems and tools put beside
// people's files: lost+found, __MACOSX, @eaDir, Thumbs.db.
struct FolderListing {
  struct Folder {
    std::string name;
    bool is_link = false;
    std::pair<dev_t, ino_t> identity;
  };
  struct File {
    std::string name;  // of a tree: its path below it
    // In bytes; kUnreadableLink for a link that cannot be followed.
    int64_t size = 0;
  };
  std::vector<Folder> folders;  // sorted by bytes, as images
  std::vector<File> images;
  // Every other file.
  PassedOverCounts passed_over;

  bool HasFolder(absl::string_view name) const;
};

// Lists `folder`. A file is an image by its extension or else by its first bytes; what is named as
// an animated WebP could be, is read in any case. A symbolic link stands for what it leads to. One
// that leads nowhere, or out of the data roots, is an image that cannot be read where its name is
// an image's, an error where it leads to a folder, and else passed over.
absl::StatusOr<FolderListing> ListFolder(const std::filesystem::path& folder,
                                         const std::vector<std::string>& roots);

// Lists the images in `folder` and the folders below it, sorted by the bytes of their paths. A
// linked folder whose content is listed already is passed over. INVALID_ARGUMENT where folders are
// nested without an end in sight.
absl::StatusOr<FolderListing> ListTree(const std::filesystem::path& folder,
                                       const std::vector<std::string>& roots);

// Whether there is an image in `folder` or below it.
absl::StatusOr<bool> HasImages(const std::filesystem::path& folder,
                               const std::vector<std::string>& roots);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_LISTING_H_
