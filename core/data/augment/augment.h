// Training augmentation after the crop and the flips.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_H_

#include <array>

#include "core/base/random.h"
#include "core/data/augment/augment_ops.h"
#include "core/data/augment/augment_policy.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Applies these steps to a training image, in this order: the policy of auto_augment, colour
// jitter, greyscale, Gaussian blur, solarise; see docs/augmentation.md. Created once from a
// configuration. Thread-safe.
class Augmenter {
 public:
  // `config` must be valid; steps whose fields are not set are skipped.
  explicit Augmenter(const vit::v1::DataConfig& config);

  // Changes `image` in place; every random choice comes from `random`.
  void Apply(CounterRandom* random, const augment::Planes& image) const;

 private:
  void Jitter(CounterRandom* random, const augment::Planes& image) const;

  vit::v1::TrainTransform train_;
  augment::Policy policy_;
  // For geometric operations, unless the policy says otherwise.
  vit::v1::Interpolation interpolation_;
  std::array<uint8_t, 3> fill_;  // the mean colour
};

}  // namespace vit

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_H_
