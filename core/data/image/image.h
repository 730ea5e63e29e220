// Decodes images from untrusted bytes.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

struct ImageLimits {
  int64_t max_bytes = int64_t{32} << 20;
  int64_t max_pixels = 100'000'000;  // width * height, from the header
};

// Pixels, red green blue, rows from the top: [height, width, 3].
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;
};

// A part of an image, in whole pixels.
struct Region {
  int64_t left = 0;
  int64_t top = 0;
  int width = 0;
  int height = 0;
};

// Which pixels of an image to decode.
struct PixelRequest {
  // A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its short side keeps at least
  // this many pixels; 0 is full size. The result is then smaller than the header says.
  int min_short_side = 0;
  // Returns the part to decode, given the upright image's size after such scaling; called once. Not
  // set: everything.
  std::function<Region(int width, int height)> choose;
  // The same bytes were decoded before without an error: data after the requested part need not be
  // checked.
  bool known_whole = false;
};

// At least the requested part of an image, with the same pixels as in the whole image.
struct ImagePart {
  Image image;
  int64_t left = 0;  // of `image` in the whole image
  int64_t top = 0;
};

// Answers `request` with the whole image.
ImagePart WholePart(Image image, const PixelRequest& request);

struct DecodeOptions {
  ImageLimits limits;
  bool apply_orientation = true;
};

// Decodes the requested part. Greyscale becomes three equal channels, palette entries become their
// colours, alpha is dropped (as Pillow's convert("RGB") does), and 16-bit samples lose their low
// byte. INVALID_ARGUMENT for empty, unknown, truncated or damaged bytes; RESOURCE_EXHAUSTED for an
// image over the limits, before anything is decoded. Finds damage anywhere in the bytes, unless
// they are known to be whole. Thread-safe.
absl::StatusOr<ImagePart> DecodePart(absl::string_view bytes, const DecodeOptions& options,
                                     const PixelRequest& request);

// Decodes the whole image; `min_short_side` as in PixelRequest.
absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeOptions& options,
                                  int min_short_side = 0);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_H_
