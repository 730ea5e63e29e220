// PNG through libpng.
#ifndef VIT_CORE_DATA_IMAGE_PNG_H_
#define VIT_CORE_DATA_IMAGE_PNG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"
#include "core/data/image/image_header.h"

namespace vit {

// Decodes a PNG as stored; used only by DecodeImage. `header` is the file's. INVALID_ARGUMENT if it
// is damaged or ends early.
absl::StatusOr<Image> DecodePng(absl::string_view bytes, const ImageHeader& header);

enum class ChannelOrder { kRgb, kBgr };

// `pixels`: [height, width, 3], rows without gaps. INTERNAL if libpng fails.
absl::StatusOr<std::string> EncodePng(const uint8_t* pixels, int width, int height,
                                      ChannelOrder order);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_PNG_H_
