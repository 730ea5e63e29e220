// JPEG through libjpeg(-turbo); used by DecodeImage alone.
#ifndef VIT_CORE_DATA_JPEG_H_
#define VIT_CORE_DATA_JPEG_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image.h"

namespace vit {

// Decodes what is wanted of a JPEG as stored, whatever its EXIF orientation. `header` is the
// file's. INVALID_ARGUMENT where the data is damaged or ends early, even where libjpeg would make
// up the rest, and outside the wanted part too unless the bytes are known to be whole.
absl::StatusOr<ImagePart> DecodeJpeg(absl::string_view bytes, const ImageHeader& header,
                                     const PixelRequest& request);

}  // namespace vit

#endif  // VIT_CORE_DATA_JPEG_H_
