// Training augmentation after the crop and the flips.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_H_

#include <array>

#include "core/base/random.h"
#include "core/data/augment/augment_geometry.h"
#include "core/data/augment/augment_ops.h"
#include "core/data/augment/augment_policy.h"
#include "vit/v1/data.pb.h"

namespace vit {

// What one training picture goes through, in this order: the policy of auto_augment, colour jitter,
// greyscale, Gaussian blur, solarise; see docs/augmentation.md. Made once from a configuration.
// Thread-safe.
class Augmenter {
 public:
  // `config`: valid; a step whose field is not set is not done.
  explicit Augmenter(const vit::v1::DataConfig& config);

  // Changes `image` in place; every random choice comes from `random`.
  void Apply(CounterRandom* random, const augment::Planes& image) const;

 private:
  void Jitter(CounterRandom* random, const augment::Planes& image) const;

  vit::v1::TrainTransform train_;
  augment::Policy policy_;
  // Of geometric operations, where the policy does not say otherwise.
  vit::v1::Interpolation interpolation_;
  std::array<uint8_t, 3> fill_;  // the mean colour
};

namespace augment {

// How a policy's geometric operations draw. With `draw_resampling` each takes bilinear or bicubic
// at random instead of `canvas.resampling`.
struct PolicyCanvas {
  Canvas canvas;
  bool draw_resampling = false;
};

// One operation with its argument, whose meaning is `operation`'s.
void ApplyOperation(Operation operation, double argument, const Canvas& canvas,
                    CounterRandom* random, const Planes& image, Scratch* scratch);

// Everything that `policy` does to one picture.
void ApplyPolicy(const Policy& policy, const PolicyCanvas& canvas, CounterRandom* random,
                 const Planes& image, Scratch* scratch);

}  // namespace augment
}  // namespace vit

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_H_
