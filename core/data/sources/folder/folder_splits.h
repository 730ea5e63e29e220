// Which folders of folder:PATH are its splits.
#ifndef VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_SPLITS_H_
#define VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_SPLITS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/folder/folder_listing.h"

namespace vit {

struct FolderSplits {
  // The folders that hold the class folders, below the source's; `train` is empty where the
  // source's own folders are the classes, `validation` where there is none.
  std::string train;
  std::string validation;
  // What was taken, and what is not used.
  std::vector<std::string> notes;
};

// Reads the splits off `root`'s folders; docs/data.md gives the rules. INVALID_ARGUMENT, with the
// way out, where a folder could be a split or a class, or two could be the same split.
absl::StatusOr<FolderSplits> FindFolderSplits(const std::filesystem::path& root,
                                              const FolderListing& listing,
                                              const std::vector<std::string>& roots);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FOLDER_FOLDER_SPLITS_H_
