// BMP; used by DecodeImage alone.
#ifndef VIT_CORE_DATA_IMAGE_BMP_H_
#define VIT_CORE_DATA_IMAGE_BMP_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"

namespace vit {

// Decodes a Windows or OS/2 bitmap: 1, 4 and 8 bits a pixel with a palette, run-length encoded or
// not, 16 (5-5-5 and 5-6-5), 24 and 32 bits, whose alpha is dropped. `header` is the file's.
// INVALID_ARGUMENT for other kinds, and where the file is damaged or ends early.
absl::StatusOr<Image> DecodeBmp(absl::string_view bytes, const ImageHeader& header);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_BMP_H_
