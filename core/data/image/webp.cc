#include "core/data/image/webp.h"

#include <webp/decode.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/data/image/image_header.h"

namespace vit {

absl::StatusOr<Image> DecodeWebp(absl::string_view bytes, const ImageHeader& header) {
  BoundedReader reader(bytes);
  reader.Skip(4);
  const uint32_t size = reader.U32Le();
  if (!reader.ok() || reader.remaining() < size) {
    return absl::InvalidArgumentError(absl::StrCat("WebP: the file is truncated (", bytes.size(),
                                                   " bytes of ", size + 8ull, ")"));
  }
  const auto* const data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) {
    return absl::InvalidArgumentError("WebP: the data is damaged (its header)");
  }
  // The header's size determines the memory allocated, the image's how much of it is written.
  if (features.width != header.width || features.height != header.height) {
    return absl::InvalidArgumentError(absl::StrCat("WebP: the header says ", header.width, "x",
                                                   header.height, " but the image is ",
                                                   features.width, "x", features.height));
  }
  Image image{header.width, header.height, {}};
  image.rgb.resize(size_t{3} * image.width * image.height);
  if (WebPDecodeRGBInto(data, bytes.size(), image.rgb.data(), image.rgb.size(), 3 * image.width) ==
      nullptr) {
    return absl::InvalidArgumentError("WebP: the data is damaged");
  }
  return image;
}

}  // namespace vit
