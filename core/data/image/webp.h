// WebP through libwebp; used only by DecodeImage.
#ifndef VIT_CORE_DATA_IMAGE_WEBP_H_
#define VIT_CORE_DATA_IMAGE_WEBP_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"
#include "core/data/image/image_header.h"

namespace vit {

// Decodes a WebP of one frame as stored. `header` is the file's. INVALID_ARGUMENT if it is damaged
// or ends early.
absl::StatusOr<Image> DecodeWebp(absl::string_view bytes, const ImageHeader& header);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_WEBP_H_
