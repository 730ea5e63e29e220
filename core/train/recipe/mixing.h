// Training on mixes of pictures: mixup and CutMix. Only for the rooms that compute.
#ifndef VIT_CORE_TRAIN_RECIPE_MIXING_H_
#define VIT_CORE_TRAIN_RECIPE_MIXING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "vit/v1/training.pb.h"

namespace vit {

// How one picture is mixed with its partner.
struct Mix {
  int64_t partner = 0;  // index of a picture
  float part = 1;       // of the picture itself, in picture (mixup) and label
  bool cut = false;     // CutMix: the rectangle is the partner's, the rest the picture's own
  int left = 0, top = 0, right = 0, bottom = 0;  // pixels
};

// Whether the config mixes at all.
bool HasMixing(const vit::v1::MixingConfig& config);

// The mixes of an update, a function of (seed, step, place): `slots` says where in a batch of
// `batch_size` places each picture stands, and the partner of place i is place batch_size - 1 - i.
// A picture whose partner was unreadable stays as it is. `config`: effective. Shapes of rectangles
// and which draws share are timm's (timm.data.Mixup).
std::vector<Mix> PlanMixing(const vit::v1::MixingConfig& config, uint64_t seed, int64_t step,
                            const std::vector<int>& slots, int batch_size, int image_size);

// Mixes where the images are: one copy, which nobody waits for.
class DeviceMixes {
 public:
  DeviceMixes(const std::vector<Mix>& mixes, c10::Device device);

  // `images`: [B, C, S, S]; the same, mixed.
  at::Tensor MixImages(const at::Tensor& images) const;
  // `labels`: [B]; the classes' parts: [B, K], float32.
  at::Tensor MixLabels(const at::Tensor& labels, int num_classes) const;

 private:
  bool any_mixed_ = false, any_cut_ = false;
  at::Tensor partner_;                      // [B], int64
  at::Tensor part_, partners_share_;        // [B]; what a mixup takes of the partner's picture
  at::Tensor left_, top_, right_, bottom_;  // [B], pixels
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_MIXING_H_
