// WebP through libwebp; used by DecodeImage alone.
#ifndef VIT_CORE_DATA_IMAGE_WEBP_H_
#define VIT_CORE_DATA_IMAGE_WEBP_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"

namespace vit {

// Decodes a WebP of one frame as stored. `header` is the file's. INVALID_ARGUMENT where it is
// damaged or ends early.
absl::StatusOr<Image> DecodeWebp(absl::string_view bytes, const ImageHeader& header);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_WEBP_H_
