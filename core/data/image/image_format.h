// Which image format a file is in, by its first bytes.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_FORMAT_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_FORMAT_H_

#include "absl/strings/string_view.h"

namespace vit {

// So many bytes of a file's start are enough for RecognizeImage.
inline constexpr int kImageStartBytes = 64;

struct RecognizedImage {
  // "JPEG", "animated WebP", "TIFF"; empty for what is no image.
  absl::string_view name;
  // Whether DecodeImage reads the format.
  bool readable = false;
};

// Says nothing of whether the rest of the file is whole.
RecognizedImage RecognizeImage(absl::string_view start);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_FORMAT_H_
