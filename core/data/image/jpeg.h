// JPEG through libjpeg(-turbo).
#ifndef VIT_CORE_DATA_IMAGE_JPEG_H_
#define VIT_CORE_DATA_IMAGE_JPEG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"
#include "core/data/image/image_header.h"

namespace vit {

// Decodes the requested part of a JPEG as stored, ignoring its EXIF orientation; used only by
// DecodePart. `header` is the file's. INVALID_ARGUMENT if the data is damaged or ends early, even
// if libjpeg would make up the rest, and outside the requested part too unless the bytes are known
// to be whole.
absl::StatusOr<ImagePart> DecodeJpeg(absl::string_view bytes, const ImageHeader& header,
                                     const PixelRequest& request);

// Encodes with libjpeg's `quality`, 1 to 100, and chroma at half the resolution. INVALID_ARGUMENT
// for an image of more than 65,500 pixels a side.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_JPEG_H_
