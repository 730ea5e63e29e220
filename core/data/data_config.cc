#include "core/data/data_config.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/augment/augment_policy.h"
#include "core/data/sources/data_source.h"
#include "core/spec/rules.h"

namespace vit {
namespace {

using vit::v1::DataConfig;
using vit::v1::TrainTransform;

absl::Status Bad(absl::string_view field, double value, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("data.", field, " is ", value, "; expected ", expected));
}

// Checks a range that two fields give: "data.train.scale_min is 2; expected at most
// data.train.scale_max, 1".
absl::Status CheckOrder(absl::string_view low_field, double low, absl::string_view high_field,
                        double high) {
  if (low <= high) return absl::OkStatus();
  return Bad(low_field, low, absl::StrCat("at most data.", high_field, ", ", high));
}

absl::Status CheckPolicy(const TrainTransform& train) {
  const absl::StatusOr<augment::Policy> policy = augment::ParsePolicy(train.auto_augment());
  if (!policy.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.train.auto_augment is \"", train.auto_augment(), "\": ", policy.status().message()));
  }
  const bool jitter = train.jitter_brightness() > 0 || train.jitter_contrast() > 0 ||
                      train.jitter_saturation() > 0 || train.jitter_hue() > 0;
  if (policy->kind != augment::Policy::Kind::kNone && jitter && !policy->goes_with_jitter &&
      !train.force_jitter()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.train.auto_augment (", train.auto_augment(),
        ") changes colours itself, and colour jitter is set too; set jitter_brightness, "
        "jitter_contrast, jitter_saturation and jitter_hue to 0, or set force_jitter to use both"));
  }
  return absl::OkStatus();
}

absl::Status CheckTrain(const TrainTransform& train) {
  VIT_RETURN_IF_ERROR(
      CheckOrder("train.scale_min", train.scale_min(), "train.scale_max", train.scale_max()));
  VIT_RETURN_IF_ERROR(
      CheckOrder("train.ratio_min", train.ratio_min(), "train.ratio_max", train.ratio_max()));
  VIT_RETURN_IF_ERROR(CheckOrder("train.blur_sigma_min", train.blur_sigma_min(),
                                 "train.blur_sigma_max", train.blur_sigma_max()));
  if (train.blur_kernel_size() % 2 == 0) {
    return Bad("train.blur_kernel_size", train.blur_kernel_size(), "an odd number");
  }
  const vit::v1::RandomErasing& erasing = train.random_erasing();
  VIT_RETURN_IF_ERROR(CheckOrder("train.random_erasing.area_min", erasing.area_min(),
                                 "train.random_erasing.area_max", erasing.area_max()));
  return CheckPolicy(train);
}

absl::Status CheckChannels(const DataConfig& config) {
  for (const auto* values : {&config.mean(), &config.std()}) {
    if (values->size() == 3) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("data.", values == &config.mean() ? "mean" : "std", " has ", values->size(),
                     " values; expected 3, one per channel"));
  }
  return absl::OkStatus();
}

absl::Status CheckFolds(const DataConfig& config) {
  if (config.folds() == 1) return Bad("folds", 1, "0, or 2 to 1000");
  if (config.folds() == 0) {
    if (config.fold() == 0) return absl::OkStatus();
    return Bad("fold", config.fold(), "0, as data.folds is not set");
  }
  if (config.validation_split() == vit::v1::VALIDATION_SPLIT_OWN) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.validation_split is own, but data.folds, ", config.folds(),
                     ", makes the split; remove data.validation_split, or set data.folds to 0"));
  }
  if (config.fold() < config.folds()) return absl::OkStatus();
  return Bad("fold", config.fold(), absl::StrCat("0 to ", config.folds() - 1));
}

}  // namespace

absl::Status ValidateDataConfig(const DataConfig& given) {
  DataConfig config = given;
  FillRuleDefaults(&config);
  VIT_RETURN_IF_ERROR(CheckRules(config, "data."));
  if (config.has_source()) VIT_RETURN_IF_ERROR(ParseDataSource(config.source()));
  VIT_RETURN_IF_ERROR(CheckTrain(config.train()));
  if (config.interpolation() == vit::v1::INTERPOLATION_RANDOM) {
    return absl::InvalidArgumentError(
        "data.interpolation is random, which is for training only; set data.train.interpolation "
        "instead");
  }
  VIT_RETURN_IF_ERROR(CheckChannels(config));
  VIT_RETURN_IF_ERROR(CheckFolds(config));
  if (config.sampler_power() != 1 && config.sampler() != vit::v1::SAMPLER_CLASS_BALANCED) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.sampler_power is ", config.sampler_power(),
                     ", but data.sampler is uniform; set data.sampler to class_balanced"));
  }
  return absl::OkStatus();
}

void MarkStoredListing(DataConfig* config) {
  if (!config->has_listing_version()) config->set_listing_version(1);
}

int EvalImageSize(const DataConfig& config, int image_size) {
  return config.eval().has_image_size() ? config.eval().image_size() : image_size;
}

}  // namespace vit
