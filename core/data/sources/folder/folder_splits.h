// Finds the folders of folder:PATH that are its splits.
#ifndef VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_SPLITS_H_
#define VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_SPLITS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/folder/folder_listing.h"

namespace vit {

struct FolderSplits {
  // The folders, below the source's, that contain the class folders. `train` is empty if the
  // source's own folders are the classes, `validation` if there is none.
  std::string train;
  std::string validation;
  // What is used, and what is not.
  std::vector<std::string> notes;
};

// Finds the splits among `root`'s folders; docs/data.md gives the rules. INVALID_ARGUMENT, with the
// way out, if a folder could be a split or a class, or two could be the same split.
absl::StatusOr<FolderSplits> FindFolderSplits(const std::filesystem::path& root,
                                              const FolderListing& listing,
                                              const std::vector<std::string>& roots);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_SPLITS_H_
