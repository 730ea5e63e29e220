// Encoded pictures to pixels, for bytes that nobody vouches for.
#ifndef VIT_CORE_DATA_IMAGE_IMAGE_H_
#define VIT_CORE_DATA_IMAGE_IMAGE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit {

enum class ImageFormat { kJpeg, kPng, kWebp, kBmp };

// What a file says of itself before anything is decoded.
struct ImageHeader {
  ImageFormat format;
  int width = 0;  // as stored, before orientation
  int height = 0;
  int orientation = 1;  // EXIF's, 1..8; 1 is upright
};

// INVALID_ARGUMENT for bytes that are none of the four formats, or whose header is cut short or
// contradicts itself; the message names the reason.
absl::StatusOr<ImageHeader> ReadImageHeader(absl::string_view bytes);

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

// A part of a picture, in whole pixels.
struct Region {
  int64_t left = 0;
  int64_t top = 0;
  int width = 0;
  int height = 0;
};

// Which pixels of a picture are wanted.
struct PixelRequest {
  // A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its short side keeps at least
  // so many pixels; 0 is full size. The result is then smaller than the header says.
  int min_short_side = 0;
  // The part that is wanted, given the upright picture's size after such scaling; called once. Not
  // set: everything.
  std::function<Region(int width, int height)> choose;
  // The same bytes were decoded before, without an error: what follows the wanted part need not be
  // looked at.
  bool known_whole = false;
};

// At least what was wanted of a picture; the same pixels as the whole picture has there.
struct ImagePart {
  Image image;
  int64_t left = 0;  // of `image` in the whole picture
  int64_t top = 0;
};

// The answer to `request` where the whole picture is there.
ImagePart WholePart(Image image, const PixelRequest& request);

struct DecodeOptions {
  ImageLimits limits;
  bool apply_orientation = true;
};

// Greyscale becomes three equal channels, a palette its colours, alpha is dropped (as Pillow's
// convert("RGB")), 16-bit samples lose their low byte. INVALID_ARGUMENT for empty, unknown,
// truncated or damaged bytes; RESOURCE_EXHAUSTED for a picture over the limits, before anything is
// decoded. Damage is found wherever it is, unless the bytes are known to be whole. Thread-safe.
absl::StatusOr<ImagePart> DecodePart(absl::string_view bytes, const DecodeOptions& options,
                                     const PixelRequest& request);

// The whole picture; `min_short_side` as in PixelRequest.
absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeOptions& options,
                                  int min_short_side = 0);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_IMAGE_H_
