#include "core/data/image/image.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/image/bmp.h"
#include "core/data/image/image_header.h"
#include "core/data/image/jpeg.h"
#include "core/data/image/png.h"
#include "core/data/image/webp.h"

namespace vit {
namespace {

// Turns an image upright. EXIF gives the place of the stored first row and column; 5 to 8 swap the
// axes.
Image Orient(Image image, int orientation) {
  const bool transpose = orientation >= 5;
  // Whether upright rows (columns) run opposite to the stored axis that they come from.
  const bool reverse_y =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool reverse_x =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const int width = transpose ? image.height : image.width;
  const int height = transpose ? image.width : image.height;
  Image out{width, height, std::vector<uint8_t>(image.rgb.size())};
  uint8_t* to = out.rgb.data();
  for (int y = 0; y < height; ++y) {
    const int from_y = reverse_y ? height - 1 - y : y;
    for (int x = 0; x < width; ++x, to += 3) {
      const int from_x = reverse_x ? width - 1 - x : x;
      const size_t row = transpose ? from_x : from_y;
      const size_t column = transpose ? from_y : from_x;
      memcpy(to, &image.rgb[3 * (row * image.width + column)], 3);
    }
  }
  return out;
}

// Decodes as stored. PNG, WebP and BMP are always decoded whole.
absl::StatusOr<ImagePart> DecodeAsStored(absl::string_view bytes, const ImageHeader& header,
                                         const PixelRequest& request) {
  const auto whole = [&](absl::StatusOr<Image> image) -> absl::StatusOr<ImagePart> {
    VIT_RETURN_IF_ERROR(image.status());
    return WholePart(*std::move(image), request);
  };
  switch (header.format) {
    case ImageFormat::kJpeg:
      return DecodeJpeg(bytes, header, request);
    case ImageFormat::kPng:
      return whole(DecodePng(bytes, header));
    case ImageFormat::kWebp:
      return whole(DecodeWebp(bytes, header));
    case ImageFormat::kBmp:
      return whole(DecodeBmp(bytes, header));
  }
  return absl::InternalError("unknown image format");
}

}  // namespace

ImagePart WholePart(Image image, const PixelRequest& request) {
  if (request.choose) request.choose(image.width, image.height);
  return {.image = std::move(image)};
}

absl::StatusOr<ImagePart> DecodePart(absl::string_view bytes, const DecodeOptions& options,
                                     const PixelRequest& request) {
  const int64_t max_bytes =
      std::min<int64_t>(options.limits.max_bytes, std::numeric_limits<int>::max());
  if (static_cast<int64_t>(bytes.size()) > max_bytes) {
    return OverLimitError(
        absl::StrCat("the image has ", bytes.size(), " bytes, over the limit of ", max_bytes));
  }
  VIT_ASSIGN_OR_RETURN(const ImageHeader header, ReadImageHeader(bytes));
  const int64_t pixels = int64_t{header.width} * header.height;
  if (pixels > options.limits.max_pixels) {
    return OverLimitError(absl::StrCat("the image is ", header.width, "x", header.height, ", ",
                                       pixels, " pixels, over the limit of ",
                                       options.limits.max_pixels));
  }
  return CatchExceptions("decode", [&]() -> absl::StatusOr<ImagePart> {
    if (!options.apply_orientation || header.orientation == 1) {
      return DecodeAsStored(bytes, header, request);
    }
    VIT_ASSIGN_OR_RETURN(ImagePart all,
                         DecodeAsStored(bytes, header, {.min_short_side = request.min_short_side}));
    return WholePart(Orient(std::move(all.image), header.orientation), request);
  });
}

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeOptions& options,
                                  int min_short_side) {
  VIT_ASSIGN_OR_RETURN(ImagePart whole,
                       DecodePart(bytes, options, {.min_short_side = min_short_side}));
  return std::move(whole.image);
}

}  // namespace vit
