// BMP; used only by DecodeImage.
#ifndef VIT_CORE_DATA_IMAGE_BMP_H_
#define VIT_CORE_DATA_IMAGE_BMP_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"
#include "core/data/image/image_header.h"

namespace vit {

// Decodes a Windows or OS/2 bitmap: 1, 4 or 8 bits per pixel with a palette, run-length encoded or
// not; 16 bits (5-5-5 or 5-6-5); 24 or 32 bits, dropping alpha. `header` is the file's.
// INVALID_ARGUMENT for other kinds, and if the file is damaged or ends early.
absl::StatusOr<Image> DecodeBmp(absl::string_view bytes, const ImageHeader& header);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_BMP_H_
