// Training on mixes of images: mixup and CutMix.
#ifndef VIT_CORE_TRAIN_RECIPE_MIXING_H_
#define VIT_CORE_TRAIN_RECIPE_MIXING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "vit/v1/training.pb.h"

namespace vit {

// How one image is mixed with its partner.
struct Mix {
  int64_t partner = 0;  // index of an image
  float part = 1;       // lambda: of the image itself, in image (mixup) and label
  bool cut = false;     // CutMix: the rectangle is the partner's, the rest the image's own
  int left = 0, top = 0, right = 0, bottom = 0;  // pixels
};

// Whether the config mixes at all.
bool HasMixing(const vit::v1::MixingConfig& config);

// Draws the mixes of an update, a function of (seed, step, place). `slots`: the place of each image
// in a batch of `batch_size` places; the partner of place i is place batch_size - 1 - i. An image
// whose partner was unreadable stays as it is. `config`: effective. The shapes of rectangles, and
// which images share a draw, are as in timm (timm.data.Mixup).
std::vector<Mix> PlanMixing(const vit::v1::MixingConfig& config, uint64_t seed, int64_t step,
                            const std::vector<int>& slots, int batch_size, int image_size);

// Mixes on the device of the images: one copy, without waiting for it.
class DeviceMixes {
 public:
  DeviceMixes(const std::vector<Mix>& mixes, c10::Device device);

  // Returns `images` ([B, C, S, S]), mixed.
  at::Tensor MixImages(const at::Tensor& images) const;
  // Returns the soft labels, [B, K], float32. `labels`: [B].
  at::Tensor MixLabels(const at::Tensor& labels, int num_classes) const;

 private:
  bool any_mixed_ = false, any_cut_ = false;
  at::Tensor partner_;                      // [B], int64
  at::Tensor part_, partners_share_;        // [B]; the partner's part in a mixup
  at::Tensor left_, top_, right_, bottom_;  // [B], pixels
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_MIXING_H_
