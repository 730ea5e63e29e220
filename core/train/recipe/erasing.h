// Random erasing of training images.
#ifndef VIT_CORE_TRAIN_RECIPE_ERASING_H_
#define VIT_CORE_TRAIN_RECIPE_ERASING_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "vit/v1/data.pb.h"

namespace vit {

// One erased rectangle, in pixels.
struct Erasure {
  int64_t image = 0;  // index in the batch
  int left = 0, top = 0, right = 0, bottom = 0;
  std::array<float, 3> color{};  // ERASING_FILL_COLOR
  uint64_t noise_seed = 0;       // ERASING_FILL_NOISE
};

// Draws the rectangles of an update, a function of (seed, step, place). `slots`: the place of each
// image in the batch. `config`: effective. Sizes and places are drawn as timm draws them
// (timm.data.random_erasing): up to ten tries for one that fits, then none.
std::vector<Erasure> PlanErasing(const vit::v1::RandomErasing& config, uint64_t seed, int64_t step,
                                 const std::vector<int>& slots, int image_size);

// Returns `images` ([B, 3, S, S], normalised) with the rectangles filled.
at::Tensor EraseImages(const at::Tensor& images, const std::vector<Erasure>& erasures,
                       vit::v1::ErasingFill fill);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_ERASING_H_
