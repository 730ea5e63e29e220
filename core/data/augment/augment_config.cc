#include "core/data/augment/augment_config.h"

#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/augment/augment_policy.h"

namespace vit {
namespace {

using vit::v1::TrainTransform;

constexpr int kDefaultBlurKernel = 23;
constexpr double kDefaultBlurSigmaMin = 0.1;
constexpr double kDefaultBlurSigmaMax = 2;

absl::Status Bad(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("data.train.", field, what));
}

// low <= value <= high; not-a-number is outside of every range.
absl::Status CheckRange(absl::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Bad(field, absl::StrCat(" is ", value, "; expected ", low, " to ", high));
}

absl::Status ValidateBlur(const TrainTransform& train) {
  VIT_RETURN_IF_ERROR(CheckRange("gaussian_blur", train.gaussian_blur(), 0, 1));
  const int kernel = train.has_blur_kernel_size() ? train.blur_kernel_size() : kDefaultBlurKernel;
  if (kernel < 1 || kernel > 255 || kernel % 2 == 0) {
    return Bad("blur_kernel_size",
               absl::StrCat(" is ", kernel, "; expected an odd number from 1 to 255"));
  }
  const double low = train.has_blur_sigma_min() ? train.blur_sigma_min() : kDefaultBlurSigmaMin;
  const double high = train.has_blur_sigma_max() ? train.blur_sigma_max() : kDefaultBlurSigmaMax;
  VIT_RETURN_IF_ERROR(CheckRange("blur_sigma_min", low, 0.01, 100));
  VIT_RETURN_IF_ERROR(CheckRange("blur_sigma_max", high, 0.01, 100));
  if (low > high) {
    return Bad("blur_sigma_min",
               absl::StrCat(" is ", low, "; expected at most blur_sigma_max, ", high));
  }
  return absl::OkStatus();
}

absl::Status ValidatePolicy(const TrainTransform& train, bool jitter) {
  const absl::StatusOr<augment::Policy> policy = augment::ParsePolicy(train.auto_augment());
  if (!policy.ok()) {
    return Bad("auto_augment",
               absl::StrCat(" is \"", train.auto_augment(), "\": ", policy.status().message()));
  }
  if (policy->kind != augment::Policy::Kind::kNone && jitter && !policy->goes_with_jitter &&
      !train.force_jitter()) {
    return Bad("auto_augment",
               absl::StrCat(" (", train.auto_augment(),
                            ") changes colours itself, and colour jitter is set too; set "
                            "jitter_brightness, jitter_contrast, jitter_saturation and jitter_hue "
                            "to 0, or force_jitter to have both"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateAugmentation(const TrainTransform& train) {
  VIT_RETURN_IF_ERROR(CheckRange("vertical_flip", train.vertical_flip(), 0, 1));
  bool jitter = false;
  for (const auto& [field, value, high] :
       {std::tuple{"jitter_brightness", train.jitter_brightness(), 10.0},
        {"jitter_contrast", train.jitter_contrast(), 10.0},
        {"jitter_saturation", train.jitter_saturation(), 10.0},
        {"jitter_hue", train.jitter_hue(), 0.5}}) {
    VIT_RETURN_IF_ERROR(CheckRange(field, value, 0, high));
    jitter = jitter || value > 0;
  }
  VIT_RETURN_IF_ERROR(CheckRange("jitter_probability", train.jitter_probability(), 0, 1));
  VIT_RETURN_IF_ERROR(ValidatePolicy(train, jitter));
  VIT_RETURN_IF_ERROR(CheckRange("grayscale", train.grayscale(), 0, 1));
  VIT_RETURN_IF_ERROR(ValidateBlur(train));
  VIT_RETURN_IF_ERROR(CheckRange("solarize", train.solarize(), 0, 1));
  return CheckRange("solarize_threshold", train.solarize_threshold(), 0, 256);
}

// Sets a field that is not set.
#define VIT_DEFAULT(field, value) \
  if (!train->has_##field()) train->set_##field(value)

void FillAugmentationDefaults(vit::v1::Interpolation interpolation, TrainTransform* train) {
  VIT_DEFAULT(interpolation, interpolation);
  VIT_DEFAULT(vertical_flip, 0);
  VIT_DEFAULT(auto_augment, "none");
  VIT_DEFAULT(jitter_brightness, 0);
  VIT_DEFAULT(jitter_contrast, 0);
  VIT_DEFAULT(jitter_saturation, 0);
  VIT_DEFAULT(jitter_hue, 0);
  VIT_DEFAULT(jitter_probability, 1);
  VIT_DEFAULT(force_jitter, false);
  VIT_DEFAULT(grayscale, 0);
  VIT_DEFAULT(gaussian_blur, 0);
  VIT_DEFAULT(blur_kernel_size, kDefaultBlurKernel);
  VIT_DEFAULT(blur_sigma_min, kDefaultBlurSigmaMin);
  VIT_DEFAULT(blur_sigma_max, kDefaultBlurSigmaMax);
  VIT_DEFAULT(solarize, 0);
  VIT_DEFAULT(solarize_threshold, 128);
}

#undef VIT_DEFAULT

}  // namespace vit
