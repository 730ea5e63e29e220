// Reads sizes and orientations from the headers of the four formats, without decoding.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_HEADER_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_HEADER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

enum class ImageFormat { kJpeg, kPng, kWebp, kBmp };

// What a file says about itself before anything is decoded.
struct ImageHeader {
  ImageFormat format;
  int width = 0;  // as stored, before orientation
  int height = 0;
  int orientation = 1;  // EXIF's, 1..8; 1 is upright
};

// Reads the header. INVALID_ARGUMENT for bytes in none of the four formats, or with a header that
// is cut short or contradicts itself; the message names the reason.
absl::StatusOr<ImageHeader> ReadImageHeader(absl::string_view bytes);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_HEADER_H_
