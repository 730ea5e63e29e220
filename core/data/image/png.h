// PNG through libpng.
#ifndef VIT_CORE_DATA_IMAGE_PNG_H_
#define VIT_CORE_DATA_IMAGE_PNG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/image/image.h"

namespace vit {

// Decodes a PNG as stored; used by DecodeImage alone. `header` is the file's. INVALID_ARGUMENT
// where it is damaged or ends early.
absl::StatusOr<Image> DecodePng(absl::string_view bytes, const ImageHeader& header);

enum class ChannelOrder { kRgb, kBgr };

// `pixels`: [height, width, 3], rows without gaps. INTERNAL where libpng cannot.
absl::StatusOr<std::string> EncodePng(const uint8_t* pixels, int width, int height,
                                      ChannelOrder order);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_PNG_H_
