// JPEG through libjpeg(-turbo).
#ifndef VIT_CORE_DATA_IMAGE_JPEG_H_
#define VIT_CORE_DATA_IMAGE_JPEG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"

namespace vit {

// Decodes what is wanted of a JPEG as stored, whatever its EXIF orientation; used by DecodePart
// alone. `header` is the file's. INVALID_ARGUMENT where the data is damaged or ends early, even
// where libjpeg would make up the rest, and outside the wanted part too unless the bytes are known
// to be whole.
absl::StatusOr<ImagePart> DecodeJpeg(absl::string_view bytes, const ImageHeader& header,
                                     const PixelRequest& request);

// `quality`: libjpeg's, 1 to 100; chroma in half the resolution. INVALID_ARGUMENT for a picture of
// more than 65,500 pixels a side.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_JPEG_H_
