// The samples of an archive in WebDataset's layout (https://github.com/webdataset/webdataset): the
// files of a sample follow each other and differ in what comes after the first dot of their names.
#ifndef VIT_CORE_DATA_SOURCES_TAR_TAR_SAMPLES_H_
#define VIT_CORE_DATA_SOURCES_TAR_TAR_SAMPLES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/sources.h"

namespace vit {

struct TarSamples {
  struct Sample {
    std::string key;
    std::string label;
    int64_t offset = 0;  // of the image in the archive
    int64_t size = 0;    // in bytes
  };
  std::vector<Sample> samples;  // in the archive's order
  PassedOverCounts passed_over;
  // The keys of the first sample whose class a file of its own says, and of the first whose class
  // is its folder's name; empty where there is none.
  std::string first_labelled, first_by_folder;
};

// Reads the headers of `archive`. A sample's class is what KEY.cls says, or the "label" of
// KEY.json, or else its folder's name. INVALID_ARGUMENT for an archive in which the files of a
// sample do not stand together, and what makes a class or an image doubtful. By `listing_version`
// 1, such an archive is read as if each part were a sample, KEY.json is not read, and images are
// told by the extensions .jpg, .jpeg, .png, .webp and .bmp alone.
absl::StatusOr<TarSamples> ReadTarSamples(const std::filesystem::path& archive,
                                          int listing_version);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_TAR_TAR_SAMPLES_H_
