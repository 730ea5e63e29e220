// The samples of an archive in WebDataset's layout (https://github.com/webdataset/webdataset): the
// files of a sample are adjacent and differ in the part of their names after the first dot.
#ifndef VIT_CORE_DATA_SOURCES_TAR_TAR_SAMPLES_H_
#define VIT_CORE_DATA_SOURCES_TAR_TAR_SAMPLES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/sources/passed_over_counts.h"

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
  // The keys of the first sample with a class from its own file, and of the first with a class from
  // its folder's name; empty if there is none.
  std::string first_labelled, first_by_folder;
};

// Reads the headers of `archive`. A sample's class comes from KEY.cls, or the "label" of KEY.json,
// or otherwise its folder's name. INVALID_ARGUMENT if the files of a sample are not adjacent, or if
// a class or an image is in doubt. In `listing_version` 1, each part of such a sample is read as a
// sample, KEY.json is not read, and images are recognized only by the extensions .jpg, .jpeg, .png,
// .webp and .bmp.
absl::StatusOr<TarSamples> ReadTarSamples(const std::filesystem::path& archive,
                                          int listing_version);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_TAR_TAR_SAMPLES_H_
