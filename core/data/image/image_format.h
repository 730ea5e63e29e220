// Recognizes a file's image format by its first bytes.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_FORMAT_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_FORMAT_H_

#include "absl/strings/string_view.h"

namespace vit {

// RecognizeImage needs this many bytes from the start of a file.
inline constexpr int kImageStartBytes = 64;

struct RecognizedImage {
  // "JPEG", "animated WebP", "TIFF"; empty if the file is not an image.
  absl::string_view name;
  // Whether DecodeImage reads the format.
  bool readable = false;
};

// Does not check whether the rest of the file is intact.
RecognizedImage RecognizeImage(absl::string_view start);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_FORMAT_H_
