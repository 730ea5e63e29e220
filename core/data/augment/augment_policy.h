// Policies of automatic augmentation as data, read from the strings that timm gives them.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_POLICY_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_POLICY_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace vit::augment {

enum class Operation {
  kIdentity,
  kAutoContrast,
  kEqualize,
  kInvert,
  kRotate,       // degrees
  kPosterize,    // bits kept
  kSolarize,     // threshold
  kSolarizeAdd,  // added below 128
  kColor,        // factor, as the next three
  kContrast,
  kBrightness,
  kSharpness,
  kShearX,  // pixels for each pixel
  kShearY,
  kTranslateX,  // pixels
  kTranslateY,
  kTranslateXPart,  // parts of the width
  kTranslateYPart,
  kGaussianBlur,      // Pillow's, standard deviation in pixels
  kGaussianBlurUpTo,  // the same, with a standard deviation drawn from 0.1 to 2 x argument
};

// What an argument depends on besides its level.
struct LevelContext {
  int image_size = 0;
  double translate_part = 0.45;  // timm's translate_pct
};

// An operation under a policy's name for it, and how strong it is at a level.
struct LeveledOperation {
  absl::string_view name;  // timm's or torchvision's
  Operation operation = Operation::kIdentity;
  // `level`: 0 to 1, more where a policy's magnitude goes beyond its scale. `sign`: 1 or -1.
  double (*argument)(double level, double sign, const LevelContext& context) = nullptr;
  bool has_sign = false;  // the sign is drawn; else it is 1
};

// timm's operations by timm's names ("ColorIncreasing"); null for a name that is none.
const LeveledOperation* FindTimmOperation(absl::string_view name);
// torchvision's, by its names: of AutoAugment, and of TrivialAugment, whose ranges are wider.
const LeveledOperation* FindAutoAugmentOperation(absl::string_view name);
const LeveledOperation* FindTrivialAugmentOperation(absl::string_view name);

struct PolicyStep {
  const LeveledOperation* operation = nullptr;
  double probability = 1;
  double magnitude = 0;  // `Policy::levels` is level 1
};

// AutoAugment's policies, by timm's names ("v0", "v0r", "original", "originalr", "3a") and
// torchvision's ("imagenet", "cifar10", "svhn"); empty for a name that is none.
std::vector<std::vector<PolicyStep>> TimmSubPolicies(absl::string_view name);
std::vector<std::vector<PolicyStep>> TorchvisionSubPolicies(absl::string_view name);

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
  // How likely each step is drawn, sum 1, none twice. Empty: all alike, each draw from all.
  std::vector<double> weights;
  int count = 2;

  // A step's magnitude is drawn from a normal distribution of this standard deviation about its
  // own, or evenly from 0 to its own; then cut to 0 .. magnitude_max.
  double magnitude_std = 0;
  bool magnitude_uniform = false;
  double magnitude_max = 10;
  double levels = 10;
  double translate_part = 0.45;

  int width = 3;
  int depth = 0;  // 0: 1 to 3, drawn for each chain
  double alpha = 1;
  bool blended = false;  // timm's faster mix: chains are blended into the picture one by one

  // Geometric operations take the nearest pixel and fill with black, as torchvision's do by
  // default. Otherwise as timm's: the training interpolation, and the mean colour.
  bool nearest_on_black = false;

  // Made to be followed by colour jitter, as three-augment is.
  bool goes_with_jitter = false;
};

// Reads "none" (or ""), "rand-...", "original", "originalr", "v0", "v0r", "3a" (each also with
// "-mstd..."), "augmix-...", "imagenet", "cifar10", "svhn", "trivial". INVALID_ARGUMENT names the
// part that is wrong and what stands there instead.
absl::StatusOr<Policy> ParsePolicy(absl::string_view text);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_POLICY_H_
