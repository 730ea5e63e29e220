// Lists folders of images.
#ifndef VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_LISTING_H_
#define VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_LISTING_H_

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/passed_over_counts.h"

namespace vit {

// The entries of a folder, or of a tree. Leaves out hidden ones, and what systems and tools put
// beside people's files: lost+found, __MACOSX, @eaDir, Thumbs.db.
struct FolderListing {
  struct Folder {
    std::string name;
    bool is_link = false;
    std::pair<dev_t, ino_t> identity;
  };
  struct File {
    std::string name;  // in a tree: its path below it
    // In bytes; kUnreadableLink for a link that cannot be followed.
    int64_t size = 0;
  };
  std::vector<Folder> folders;  // sorted by bytes, like images
  std::vector<File> images;
  // Every other file.
  PassedOverCounts passed_over;

  bool HasFolder(absl::string_view name) const;
};

// Lists `folder`. A file is an image by its extension, or otherwise by its first bytes; files named
// .webp are always read, as they could be animated. A symbolic link stands for its target. A link
// that is broken or leads out of the data roots is an error if it leads to a folder, an unreadable
// image if it is named like an image, and otherwise passed over.
absl::StatusOr<FolderListing> ListFolder(const std::filesystem::path& folder,
                                         const std::vector<std::string>& roots);

// Lists the images in `folder` and the folders below it, sorted by the bytes of their paths. A
// linked folder whose content is already listed is passed over. INVALID_ARGUMENT if folders are
// nested too deeply.
absl::StatusOr<FolderListing> ListTree(const std::filesystem::path& folder,
                                       const std::vector<std::string>& roots);

// Whether there is an image in `folder` or below it.
absl::StatusOr<bool> HasImages(const std::filesystem::path& folder,
                               const std::vector<std::string>& roots);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_LISTING_H_
