// Pictures to the model's input size: Pillow's resampling, evaluation's and training's transforms.
#ifndef VIT_CORE_DATA_IMAGE_TRANSFORM_H_
#define VIT_CORE_DATA_IMAGE_TRANSFORM_H_

#include <cstdint>

#include "absl/types/span.h"
#include "core/base/random.h"
#include "core/data/augment/augment.h"
#include "core/data/image/image.h"
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

// What training's crop and flips do to one picture.
struct TrainDraw {
  bool flip = false;
  bool flip_down = false;
  vit::v1::Interpolation interpolation = vit::v1::INTERPOLATION_UNSPECIFIED;
  Region source;  // the pixels of the picture that are used
  // TRAIN_CROP_RANDOM: the crop's upper left corner in the resized picture; negative in the
  // padding.
  int64_t left = 0;
  int64_t top = 0;
};

// Draws for a picture of `width` x `height` pixels. `config`: effective (every field set).
TrainDraw DrawTrainTransform(int width, int height, int image_size,
                             const vit::v1::DataConfig& config, CounterRandom* random);

// The training transform: crop and flips as drawn, then `augmenter`, which was made from the same
// configuration and takes further random choices from `random`. `draw.source` is where `part` has
// those pixels.
void TrainTransformPart(const Image& part, const TrainDraw& draw, int image_size,
                        const vit::v1::DataConfig& config, const Augmenter& augmenter,
                        CounterRandom* random, absl::Span<uint8_t> out);

// Draws, then transforms, for a whole picture.
void TrainTransformImage(const Image& image, int image_size, const vit::v1::DataConfig& config,
                         const Augmenter& augmenter, CounterRandom* random,
                         absl::Span<uint8_t> out);

}  // namespace vit

#endif  // VIT_CORE_DATA_IMAGE_TRANSFORM_H_
