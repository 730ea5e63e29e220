// Transforms images to the model's input size, for evaluation and training, with Pillow's
// resampling.
#ifndef VIT_CORE_DATA_IMAGE_TRANSFORM_H_
#define VIT_CORE_DATA_IMAGE_TRANSFORM_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/base/random.h"
#include "core/data/augment/augment.h"
#include "core/data/image/image.h"
#include "vit/v1/data.pb.h"

namespace vit {

// A part of an image, in pixels; fractions are allowed.
struct Box {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

// Pillow's Image.resize(size, resample, box): antialiased (the filter widens when shrinking), in
// fixed point, rounded to bytes after each of the two passes, so that results equal Pillow's (its
// older versions' if Pillow 13 goes down first).
Image Resize(const Image& image, int width, int height, vit::v1::Interpolation interpolation,
             const Box& box);
Image Resize(const Image& image, int width, int height, vit::v1::Interpolation interpolation);

// The side that the evaluation transform resizes an image's short side to.
int64_t EvalResizeSide(int image_size, const vit::v1::EvalTransform& transform);

// timm's evaluation transform: resizes the short side to floor(image_size / crop_pct) and the long
// side in proportion (rounded down), or to the same with CROP_MODE_SQUASH, then crops the centre of
// image_size. Writes planes, red first: `out` is [3, image_size, image_size]. `crop_pct` and
// `interpolation` must be set.
void EvalTransformImage(const Image& image, int image_size, const vit::v1::EvalTransform& transform,
                        vit::v1::Interpolation interpolation, absl::Span<uint8_t> out);

// The crop and flips that training applies to one image.
struct TrainDraw {
  bool flip = false;
  bool flip_down = false;
  vit::v1::Interpolation interpolation = vit::v1::INTERPOLATION_UNSPECIFIED;
  Region source;  // the pixels of the image to use
  // TRAIN_CROP_RANDOM: the crop's upper left corner in the resized image; negative in the padding.
  int64_t left = 0;
  int64_t top = 0;
};

// Draws for an image of `width` x `height` pixels. `config` must be effective (every field set).
TrainDraw DrawTrainTransform(int width, int height, int image_size,
                             const vit::v1::DataConfig& config, CounterRandom* random);

// Applies the training transform: crop and flips as drawn, then `augmenter`, which must be made
// from the same configuration and takes further random choices from `random`. `draw.source` is
// relative to `part`.
void TrainTransformPart(const Image& part, const TrainDraw& draw, int image_size,
                        const vit::v1::DataConfig& config, const Augmenter& augmenter,
                        CounterRandom* random, absl::Span<uint8_t> out);

// Draws and applies the training transform of a whole image.
void TrainTransformImage(const Image& image, int image_size, const vit::v1::DataConfig& config,
                         const Augmenter& augmenter, CounterRandom* random,
                         absl::Span<uint8_t> out);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_TRANSFORM_H_
