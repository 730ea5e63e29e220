// Lists of image files, and the data set of one.
#ifndef VIT_CORE_DATA_SOURCES_FILE_LIST_H_
#define VIT_CORE_DATA_SOURCES_FILE_LIST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/dataset.h"
#include "core/data/per_split.h"

namespace vit {

// Stands for the size of a link that is broken or leads out of the data roots: an image that cannot
// be read.
inline constexpr int64_t kUnreadableLink = -1;

// Images in separate files, as a source lists them.
struct FileList {
  struct Sample {
    int32_t folder;  // in folders
    int32_t label;
    std::string file;  // below the folder
    int64_t size;      // in bytes, or kUnreadableLink
  };

  std::vector<std::string> folders;
  PerSplit<std::vector<Sample>> samples;
};

// The samples of a FileList.
class FileListDataSet : public DataSet {
 public:
  // Sets the fingerprint of `facts`.
  FileListDataSet(FileList list, DataSetFacts facts, DataSetOptions options,
                  bool apply_orientation);

  int64_t size(DataSplit split) const override {
    return static_cast<int64_t>(list_.samples[split].size());
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return list_.samples[split][index].label;
  }
  std::string name(DataSplit split, int64_t index) const override;
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override;
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override;
  // Covers class names, labels, file names and sizes, not the location of the folders.
  std::string FingerprintOf(const SampleSelection& train,
                            const SampleSelection& validation) const override;

 private:
  std::string Path(DataSplit split, int64_t index) const;

  const FileList list_;
  const DataSetOptions options_;
  const bool apply_orientation_;
};

// Whether a file of this name counts as an image, whatever its content: .jpg, .jpeg, .png, .webp or
// .bmp, or another extension of JPEGs and bitmaps (.jpe, .jfif, .jpg_large, .dib), in upper or
// lower case.
bool HasImageExtension(absl::string_view name);
// The same in listing version 1: only the first five.
bool HasImageExtensionV1(absl::string_view name);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FILE_LIST_H_
