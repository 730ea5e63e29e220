// Policies of automatic augmentation as data, read from the strings that timm gives them.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_POLICY_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_POLICY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/data/augment/augment_operations.h"
#include "core/data/augment/augment_sub_policies.h"

namespace vit::augment {

struct Policy {
  enum class Kind {
    kNone,
    kSubPolicies,  // one of `sub_policies` is drawn, its steps run in order
    kRandAugment,  // `count` of `steps` are drawn
    kTrivial,      // one of `steps` is drawn, and a whole magnitude from 0 to `levels`
    kAugMix,       // `width` chains of `depth` steps, mixed
  };
  Kind kind = Kind::kNone;
  std::vector<std::vector<PolicyStep>> sub_policies;
  std::vector<PolicyStep> steps;
  // The probability of drawing each step; the sum is 1 and no step is drawn twice. Empty: each draw
  // takes any step with equal probability.
  std::vector<double> weights;
  int count = 2;

  // A step's magnitude is drawn from a normal distribution around its own with this standard
  // deviation, or uniformly from 0 to its own, and then clamped to 0 .. magnitude_max.
  double magnitude_std = 0;
  bool magnitude_uniform = false;
  double magnitude_max = 10;
  double levels = 10;
  double translate_part = 0.45;

  int width = 3;
  int depth = 0;  // 0: 1 to 3, drawn for each chain
  double alpha = 1;
  bool blended = false;  // timm's faster mix: chains are blended into the image one by one

  // Geometric operations take the nearest pixel and fill with black, as torchvision's do by
  // default. Otherwise they use the training interpolation and the mean colour, as timm's do.
  bool nearest_on_black = false;

  // Meant to be followed by colour jitter, like three-augment.
  bool goes_with_jitter = false;
};

// Reads "none" (or ""), "rand-...", "original", "originalr", "v0", "v0r", "3a" (each also with
// "-mstd..."), "augmix-...", "imagenet", "cifar10", "svhn", "trivial". INVALID_ARGUMENT names the
// wrong part and what is expected instead.
absl::StatusOr<Policy> ParsePolicy(absl::string_view text);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_POLICY_H_
