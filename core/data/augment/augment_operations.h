// The operations of automatic augmentation, by timm's and torchvision's names.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_OPERATIONS_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_OPERATIONS_H_

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
  kColor,        // factor, like the next three
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

// An operation by the name that a policy gives it, and its strength at a level.
struct LeveledOperation {
  absl::string_view name;  // timm's or torchvision's
  Operation operation = Operation::kIdentity;
  // `level`: 0 to 1, or more if a policy's magnitude exceeds its scale. `sign`: 1 or -1.
  double (*argument)(double level, double sign, const LevelContext& context) = nullptr;
  bool has_sign = false;  // the sign is random; otherwise it is 1
};

// Finds timm's operations by timm's names ("ColorIncreasing"); null for an unknown name.
const LeveledOperation* FindTimmOperation(absl::string_view name);
// Finds torchvision's by its names: AutoAugment's, and TrivialAugment's, whose ranges are wider.
const LeveledOperation* FindAutoAugmentOperation(absl::string_view name);
const LeveledOperation* FindTrivialAugmentOperation(absl::string_view name);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_OPERATIONS_H_
