// What the sources that are lists of picture files have in common.
#ifndef VIT_CORE_DATA_SOURCES_FILE_LIST_H_
#define VIT_CORE_DATA_SOURCES_FILE_LIST_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/dataset.h"
#include "core/data/sources/class_names.h"

namespace vit {

// In place of the size of a link that leads nowhere, or out of the data roots: an image that cannot
// be read.
inline constexpr int64_t kUnreadableLink = -1;

// Pictures in files of their own. A derived class lists them: `class_names_`, `folders_`,
// `samples_`, then SetFingerprint.
class FileListDataSet : public DataSet {
 public:
  int64_t size(DataSplit split) const override {
    return static_cast<int64_t>(samples(split).size());
  }
  int64_t label(DataSplit split, int64_t index) const override {
    return samples(split)[index].label;
  }
  std::string name(DataSplit split, int64_t index) const override;
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override;
  absl::StatusOr<std::string> ReadEncoded(DataSplit split, int64_t index) const override;
  // Over class names, labels, file names and sizes, not the place of the folders.
  std::string FingerprintOf(const SampleSelection& train,
                            const SampleSelection& validation) const override;

 protected:
  struct Sample {
    int32_t folder;  // in folders_
    int32_t label;
    std::string file;  // below the folder
    int64_t size;      // in bytes, or kUnreadableLink
  };

  FileListDataSet(DataSetOptions options, bool apply_orientation)
      : options_(std::move(options)), apply_orientation_(apply_orientation) {}

  const std::vector<Sample>& samples(DataSplit split) const {
    return samples_[split == DataSplit::kTrain ? 0 : 1];
  }
  void SetFingerprint();
  // Gives the classes their order: until then a sample's label is a number of `classes`.
  absl::Status SetClasses(const ClassTable& classes);

  const DataSetOptions options_;
  std::vector<std::string> folders_;
  std::array<std::vector<Sample>, 2> samples_;  // training, validation

 private:
  std::string Path(DataSplit split, int64_t index) const;

  const bool apply_orientation_;
};

// Whether a file of this name is taken for an image, whatever it holds: .jpg, .jpeg, .png, .webp or
// .bmp, and what else JPEGs and bitmaps are called (.jpe, .jfif, .jpg_large, .dib), in any case.
bool HasImageExtension(absl::string_view name);
// The same by listing version 1: the first five.
bool HasImageExtensionV1(absl::string_view name);

}  // namespace vit

#endif  // VIT_CORE_DATA_SOURCES_FILE_LIST_H_
