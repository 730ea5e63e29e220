// The operations that policies name, and how strong each is at a level: facts from timm's
// auto_augment.py and torchvision's autoaugment.py.
#include "core/data/augment/augment_operations.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/types/span.h"

namespace vit::augment {
namespace {

using Context = LevelContext;

// Python's int(): rounds towards 0.
double Whole(double x) { return std::trunc(x); }

double None(double, double, const Context&) { return 0; }

double ShearTo03(double level, double sign, const Context&) { return sign * level * 0.3; }
double RotateTo30(double level, double sign, const Context&) { return sign * level * 30; }

// timm's.
double PosterizeTo4(double level, double, const Context&) { return Whole(level * 4); }
double PosterizeFrom4(double level, double, const Context&) { return 4 - Whole(level * 4); }
double Posterize4To8(double level, double, const Context&) { return Whole(level * 4) + 4; }
double SolarizeTo256(double level, double, const Context&) {
  return std::min(256.0, Whole(level * 256));
}
double SolarizeFrom256(double level, double, const Context&) {
  return 256 - std::min(256.0, Whole(level * 256));
}
double AddTo110(double level, double, const Context&) {
  return std::min(128.0, Whole(level * 110));
}
double EnhanceTo19(double level, double, const Context&) { return level * 1.8 + 0.1; }
double EnhanceFromOne(double level, double sign, const Context&) {
  return std::max(0.1, 1.0 + sign * level * 0.9);
}
double TranslatePixels(double level, double sign, const Context& context) {
  return sign * level * Whole(context.image_size * 0.45);
}
double TranslatePart(double level, double sign, const Context& context) {
  return sign * level * context.translate_part;
}
double Desaturate(double level, double, const Context&) {
  return 1 - std::clamp(0.5 + 0.5 * level, 0.5, 1.0);
}
double BlurTo2(double level, double, const Context&) {
  return std::clamp(0.1 + 1.9 * level, 0.1, 2.0);
}
double BlurUpTo(double level, double, const Context&) { return std::clamp(level, 0.0, 1.0); }

constexpr std::array<LeveledOperation, 27> kTimm = {{
    {"AutoContrast", Operation::kAutoContrast, None},
    {"Equalize", Operation::kEqualize, None},
    {"Invert", Operation::kInvert, None},
    {"Rotate", Operation::kRotate, RotateTo30, true},
    {"Posterize", Operation::kPosterize, PosterizeTo4},
    {"PosterizeIncreasing", Operation::kPosterize, PosterizeFrom4},
    {"PosterizeOriginal", Operation::kPosterize, Posterize4To8},
    {"Solarize", Operation::kSolarize, SolarizeTo256},
    {"SolarizeIncreasing", Operation::kSolarize, SolarizeFrom256},
    {"SolarizeAdd", Operation::kSolarizeAdd, AddTo110},
    {"Color", Operation::kColor, EnhanceTo19},
    {"ColorIncreasing", Operation::kColor, EnhanceFromOne, true},
    {"Contrast", Operation::kContrast, EnhanceTo19},
    {"ContrastIncreasing", Operation::kContrast, EnhanceFromOne, true},
    {"Brightness", Operation::kBrightness, EnhanceTo19},
    {"BrightnessIncreasing", Operation::kBrightness, EnhanceFromOne, true},
    {"Sharpness", Operation::kSharpness, EnhanceTo19},
    {"SharpnessIncreasing", Operation::kSharpness, EnhanceFromOne, true},
    {"ShearX", Operation::kShearX, ShearTo03, true},
    {"ShearY", Operation::kShearY, ShearTo03, true},
    {"TranslateX", Operation::kTranslateX, TranslatePixels, true},
    {"TranslateY", Operation::kTranslateY, TranslatePixels, true},
    {"TranslateXRel", Operation::kTranslateXPart, TranslatePart, true},
    {"TranslateYRel", Operation::kTranslateYPart, TranslatePart, true},
    {"Desaturate", Operation::kColor, Desaturate},
    {"GaussianBlur", Operation::kGaussianBlur, BlurTo2},
    {"GaussianBlurRand", Operation::kGaussianBlurUpTo, BlurUpTo},
}};

// torchvision's, for both policies. Its translations move images to the right and down.
double EnhanceBy09(double level, double sign, const Context&) { return 1 + sign * level * 0.9; }
double SolarizeFrom255(double level, double, const Context&) { return 255 * (1 - level); }
double Posterize8To4(double level, double, const Context&) { return 8 - std::nearbyint(level * 4); }
double TranslateOf331(double level, double sign, const Context& context) {
  return -sign * Whole(level * (150.0 / 331 * context.image_size));
}
double EnhanceBy099(double level, double sign, const Context&) { return 1 + sign * level * 0.99; }
double ShearTo099(double level, double sign, const Context&) { return sign * level * 0.99; }
double RotateTo135(double level, double sign, const Context&) { return sign * level * 135; }
double TranslateTo32(double level, double sign, const Context&) {
  return -sign * Whole(level * 32);
}
double Posterize8To2(double level, double, const Context&) { return 8 - std::nearbyint(level * 6); }

constexpr std::array<LeveledOperation, 14> kAutoAugment = {{
    {"ShearX", Operation::kShearX, ShearTo03, true},
    {"ShearY", Operation::kShearY, ShearTo03, true},
    {"TranslateX", Operation::kTranslateX, TranslateOf331, true},
    {"TranslateY", Operation::kTranslateY, TranslateOf331, true},
    {"Rotate", Operation::kRotate, RotateTo30, true},
    {"Brightness", Operation::kBrightness, EnhanceBy09, true},
    {"Color", Operation::kColor, EnhanceBy09, true},
    {"Contrast", Operation::kContrast, EnhanceBy09, true},
    {"Sharpness", Operation::kSharpness, EnhanceBy09, true},
    {"Posterize", Operation::kPosterize, Posterize8To4},
    {"Solarize", Operation::kSolarize, SolarizeFrom255},
    {"AutoContrast", Operation::kAutoContrast, None},
    {"Equalize", Operation::kEqualize, None},
    {"Invert", Operation::kInvert, None},
}};

constexpr std::array<LeveledOperation, 14> kTrivialAugment = {{
    {"Identity", Operation::kIdentity, None},
    {"ShearX", Operation::kShearX, ShearTo099, true},
    {"ShearY", Operation::kShearY, ShearTo099, true},
    {"TranslateX", Operation::kTranslateX, TranslateTo32, true},
    {"TranslateY", Operation::kTranslateY, TranslateTo32, true},
    {"Rotate", Operation::kRotate, RotateTo135, true},
    {"Brightness", Operation::kBrightness, EnhanceBy099, true},
    {"Color", Operation::kColor, EnhanceBy099, true},
    {"Contrast", Operation::kContrast, EnhanceBy099, true},
    {"Sharpness", Operation::kSharpness, EnhanceBy099, true},
    {"Posterize", Operation::kPosterize, Posterize8To2},
    {"Solarize", Operation::kSolarize, SolarizeFrom255},
    {"AutoContrast", Operation::kAutoContrast, None},
    {"Equalize", Operation::kEqualize, None},
}};

const LeveledOperation* Find(absl::Span<const LeveledOperation> operations,
                             absl::string_view name) {
  for (const LeveledOperation& operation : operations) {
    if (operation.name == name) return &operation;
  }
  return nullptr;
}

}  // namespace

const LeveledOperation* FindTimmOperation(absl::string_view name) { return Find(kTimm, name); }
const LeveledOperation* FindAutoAugmentOperation(absl::string_view name) {
  return Find(kAutoAugment, name);
}
const LeveledOperation* FindTrivialAugmentOperation(absl::string_view name) {
  return Find(kTrivialAugment, name);
}

}  // namespace vit::augment
