// Pillow's resampling of a part of an image; used by the transforms.
#ifndef VIT_CORE_DATA_IMAGE_RESAMPLE_H_
#define VIT_CORE_DATA_IMAGE_RESAMPLE_H_

#include <cstddef>
#include <cstdint>

#include "core/data/image/image.h"
#include "core/data/image/transform.h"
#include "vit/v1/data.pb.h"

namespace vit {

// A view of pixels, which it does not own: red green blue, rows `stride` bytes apart.
struct ImageView {
  const uint8_t* rgb = nullptr;
  int width = 0;
  int height = 0;
  size_t stride = 0;
};

inline ImageView ViewOf(const Image& image) {
  return {image.rgb.data(), image.width, image.height, size_t{3} * image.width};
}

// Returns the part of `view` with its upper left corner at (left, top).
inline ImageView SubView(const ImageView& view, int left, int top, int width, int height) {
  return {view.rgb + top * view.stride + size_t{3} * left, width, height, view.stride};
}

// Computes `region` of Pillow's `image.resize((width, height), interpolation, box)`, and only that
// part. `out` is [region.height, region.width, 3]. `region` lies in the resized image, `box` in the
// source.
void ResampleRegion(const ImageView& image, int64_t width, int64_t height,
                    vit::v1::Interpolation interpolation, const Box& box, const Region& region,
                    uint8_t* out);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_RESAMPLE_H_
