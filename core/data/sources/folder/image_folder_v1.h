// folder:PATH in listing version 1, for runs that were created with it.
#ifndef VIT_CORE_DATA_SOURCES_FOLDER_IMAGE_FOLDER_V1_H_
#define VIT_CORE_DATA_SOURCES_FOLDER_IMAGE_FOLDER_V1_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/per_split.h"

namespace vit {

struct ImageFolderV1 {
  struct Class {
    std::string folder;
    int32_t label;
    std::vector<std::pair<std::string, int64_t>> images;  // name, size in bytes
  };
  std::vector<std::string> class_names;
  PerSplit<std::vector<Class>> classes;
};

// Lists classes in the bytewise order of their names, each with the files directly in its folder
// whose extension is .jpg, .jpeg, .png, .webp or .bmp; validation is val/, otherwise validation/,
// otherwise test/. This must not change.
absl::StatusOr<ImageFolderV1> ListImageFolderV1(const std::filesystem::path& root,
                                                const std::vector<std::string>& roots);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FOLDER_IMAGE_FOLDER_V1_H_
