// Shared by the tests of core/data: generated images, and folders to put them in.
#ifndef VIT_TESTS_CORE_DATA_TESTING_H_
#define VIT_TESTS_CORE_DATA_TESTING_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/data/dataset.h"
#include "core/data/image/image.h"
#include "vit/v1/data.pb.h"

namespace vit {

// A folder that exists as long as this object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string root() const { return path_.string(); }
  // Writes `content` to `relative`, making the folders on the way.
  void Write(const std::string& relative, absl::string_view content) const;

 private:
  std::filesystem::path path_;
};

// Smooth colours that differ with `seed`, so that JPEG keeps them nearly as they are.
Image SmoothImage(int width, int height, int seed = 0);

// Returns evaluation's transform with this crop_pct.
vit::v1::EvalTransform Crop(double crop_pct);

// Fills in the defaults of a config for `data` and a model of `image_size`; one loader thread.
void FillDefaultsFor(const DataSet& data, int image_size, vit::v1::DataConfig* config);

// Encodes with OpenCV: ".jpg", ".png", ".webp" or ".bmp".
std::string Encode(const Image& image, const std::string& extension,
                   const std::vector<int>& parameters = {});

// Returns `jpeg` with an EXIF segment for `orientation`.
std::string WithJpegOrientation(const std::string& jpeg, int orientation, bool big_endian = false);
// Returns `png` with an eXIf chunk.
std::string WithPngOrientation(const std::string& png, int orientation);

// Returns the EXIF block (a TIFF structure) for `orientation`.
std::string ExifBlock(int orientation, bool big_endian);

// Returns the greatest difference of a byte; 256 if the sizes differ.
int MaxDifference(const Image& a, const Image& b);

// Reads a binary PPM (P6).
Image ReadPpm(const std::filesystem::path& path);

}  // namespace vit

#endif  // VIT_TESTS_CORE_DATA_TESTING_H_
