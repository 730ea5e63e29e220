// Pictures to the model's input size: Pillow's resampling, evaluation's and training's transforms.
#ifndef VIT_CORE_DATA_TRANSFORM_H_
#define VIT_CORE_DATA_TRANSFORM_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/base/random.h"
#include "core/data/augment.h"
#include "core/data/image.h"
#include "vit/v1/data.pb.h"

namespace vit {

// A part of a picture, in pixels; fractions are allowed.
struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

// Pillow's Image.resize(size, resample, box): antialiased (the filter widens when shrinking), in
// fixed point, rounded to bytes after each of the two passes, so that results equal Pillow's (where
// Pillow 13 goes down first, its older versions').
Image Resize(const Image& image, int width, int height, vit::v1::Interpolation interpolation,
             const Box& box);
Image Resize(const Image& image, int width, int height, vit::v1::Interpolation interpolation);

// timm's evaluation transform: the short side to floor(image_size / crop_pct), the long side in
// proportion (rounded down) or with CROP_MODE_SQUASH to the same, then a centre crop of image_size;
// writes planes, red first: `out` is [3, image_size, image_size]. `crop_pct` and `interpolation`
// must be set.
void EvalTransformImage(const Image& image, int image_size, const vit::v1::EvalTransform& transform,
                        vit::v1::Interpolation interpolation, absl::Span<uint8_t> out);

// The training transform of an effective DataConfig (every field set): crop and flips, then
// `augmenter`, which was made from the same configuration. Every random choice comes from `random`.
void TrainTransformImage(const Image& image, int image_size, const vit::v1::DataConfig& config,
                         const Augmenter& augmenter, CounterRandom* random,
                         absl::Span<uint8_t> out);

}  // namespace vit

#endif  // VIT_CORE_DATA_TRANSFORM_H_
