#include "core/data/data_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/augment/augment_config.h"
#include "core/data/sources/sources.h"

namespace vit {
namespace {

using vit::v1::DataConfig;
using vit::v1::TrainTransform;

constexpr int kListingVersion = 2;  // of new specifications
constexpr double kDefaultScaleMin = 0.08;
constexpr double kDefaultScaleMax = 1;
constexpr double kDefaultRatioMin = 0.75;
constexpr double kDefaultRatioMax = 4.0 / 3;
constexpr double kDefaultCropPct = 0.875;
constexpr double kDefaultSamplerPower = 1;
constexpr double kDefaultErasedMin = 0.02;
constexpr double kDefaultErasedMax = 1.0 / 3;

absl::Status Out(absl::string_view field, double value, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("data.", field, " is ", value, "; expected ", expected));
}

// low <= value <= high; not-a-number is outside of every range.
absl::Status CheckRange(absl::string_view field, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Out(field, value, absl::StrCat(low, " to ", high));
}

// 0 < value <= high.
absl::Status CheckPart(absl::string_view field, double value, double high) {
  if (value > 0 && value <= high) return absl::OkStatus();
  return Out(field, value, absl::StrCat("above 0, at most ", high));
}

absl::Status ValidateTrain(const TrainTransform& train) {
  VIT_RETURN_IF_ERROR(CheckRange("train.padding", train.padding(), 0, 4096));
  const double scale_min = train.has_scale_min() ? train.scale_min() : kDefaultScaleMin;
  const double scale_max = train.has_scale_max() ? train.scale_max() : kDefaultScaleMax;
  VIT_RETURN_IF_ERROR(CheckPart("train.scale_min", scale_min, 1));
  VIT_RETURN_IF_ERROR(CheckPart("train.scale_max", scale_max, 1));
  if (scale_min > scale_max) {
    return Out("train.scale_min", scale_min, absl::StrCat("at most train.scale_max, ", scale_max));
  }
  const double ratio_min = train.has_ratio_min() ? train.ratio_min() : kDefaultRatioMin;
  const double ratio_max = train.has_ratio_max() ? train.ratio_max() : kDefaultRatioMax;
  VIT_RETURN_IF_ERROR(CheckPart("train.ratio_min", ratio_min, 100));
  VIT_RETURN_IF_ERROR(CheckPart("train.ratio_max", ratio_max, 100));
  if (ratio_min > ratio_max) {
    return Out("train.ratio_min", ratio_min, absl::StrCat("at most train.ratio_max, ", ratio_max));
  }
  VIT_RETURN_IF_ERROR(CheckRange("train.horizontal_flip", train.horizontal_flip(), 0, 1));
  return ValidateAugmentation(train);
}

absl::Status ValidateErasing(const vit::v1::RandomErasing& erasing) {
  VIT_RETURN_IF_ERROR(CheckRange("train.random_erasing.probability", erasing.probability(), 0, 1));
  const double area_min = erasing.has_area_min() ? erasing.area_min() : kDefaultErasedMin;
  const double area_max = erasing.has_area_max() ? erasing.area_max() : kDefaultErasedMax;
  if (!(area_min > 0 && area_min <= area_max && area_max < 1)) {
    return Out("train.random_erasing.area_min", area_min,
               absl::StrCat("above 0, at most area_max (", area_max, "), which is below 1"));
  }
  if (erasing.has_ratio_min()) {
    VIT_RETURN_IF_ERROR(CheckPart("train.random_erasing.ratio_min", erasing.ratio_min(), 1));
  }
  if (!erasing.has_max_count()) return absl::OkStatus();
  return CheckRange("train.random_erasing.max_count", erasing.max_count(), 1, 1000);
}

absl::Status ValidateNormalization(const DataConfig& config) {
  for (const auto* values : {&config.mean(), &config.std()}) {
    const absl::string_view field = values == &config.mean() ? "mean" : "std";
    if (!values->empty() && values->size() != 3) {
      return absl::InvalidArgumentError(absl::StrCat("data.", field, " has ", values->size(),
                                                     " values; expected 3, one per channel"));
    }
    for (const double value : *values) {
      if (!std::isfinite(value)) return Out(field, value, "finite values");
    }
  }
  for (const double value : config.std()) {
    if (!(value > 0)) return Out("std", value, "values above 0");
  }
  return absl::OkStatus();
}

absl::Status ValidateFolds(const DataConfig& config) {
  if (config.folds() != 0) VIT_RETURN_IF_ERROR(CheckRange("folds", config.folds(), 2, 1000));
  if (config.fold() != 0 && config.folds() == 0) {
    return Out("fold", config.fold(), "0, as data.folds is not set");
  }
  if (config.folds() == 0) return absl::OkStatus();
  if (config.validation_split() == vit::v1::VALIDATION_SPLIT_OWN) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.validation_split is own, but data.folds, ", config.folds(),
                     ", makes the split; leave validation_split out, or set folds to 0"));
  }
  return CheckRange("fold", config.fold(), 0, config.folds() - 1);
}

absl::Status ValidateSelection(const DataConfig& config) {
  for (const int64_t limit : config.per_class_limit()) {
    if (limit < 0) {
      return Out("per_class_limit", static_cast<double>(limit), "0 (keeps all) or more");
    }
  }
  VIT_RETURN_IF_ERROR(ValidateFolds(config));
  if (config.has_repeats()) VIT_RETURN_IF_ERROR(CheckRange("repeats", config.repeats(), 1, 1000));
  if (!config.has_sampler_power()) return absl::OkStatus();
  VIT_RETURN_IF_ERROR(CheckRange("sampler_power", config.sampler_power(), 0, 2));
  if (config.sampler_power() != kDefaultSamplerPower &&
      config.sampler() != vit::v1::SAMPLER_CLASS_BALANCED) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.sampler_power is ", config.sampler_power(),
                     ", but data.sampler is uniform; set data.sampler to class_balanced"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateDataConfig(const DataConfig& config) {
  if (config.has_source()) VIT_RETURN_IF_ERROR(ParseDataSource(config.source()));
  if (config.has_validation_fraction() &&
      !(config.validation_fraction() > 0 && config.validation_fraction() < 1)) {
    return Out("validation_fraction", config.validation_fraction(), "between 0 and 1");
  }
  if (config.has_listing_version()) {
    VIT_RETURN_IF_ERROR(
        CheckRange("listing_version", config.listing_version(), 1, kListingVersion));
  }
  VIT_RETURN_IF_ERROR(ValidateTrain(config.train()));
  VIT_RETURN_IF_ERROR(ValidateErasing(config.train().random_erasing()));
  if (config.eval().has_crop_pct()) {
    VIT_RETURN_IF_ERROR(CheckRange("eval.crop_pct", config.eval().crop_pct(), 0.01, 1));
  }
  if (config.interpolation() == vit::v1::INTERPOLATION_RANDOM) {
    return absl::InvalidArgumentError(
        "data.interpolation is INTERPOLATION_RANDOM, which is for training only; set "
        "data.train.interpolation instead");
  }
  VIT_RETURN_IF_ERROR(ValidateNormalization(config));
  if (config.has_loader_threads()) {
    VIT_RETURN_IF_ERROR(CheckRange("loader_threads", config.loader_threads(), 1, 1024));
  }
  if (config.has_prefetch_batches()) {
    VIT_RETURN_IF_ERROR(CheckRange("prefetch_batches", config.prefetch_batches(), 1, 1024));
  }
  if (config.max_cache_bytes() < 0) {
    return Out("max_cache_bytes", static_cast<double>(config.max_cache_bytes()), "0 or more");
  }
  if (config.has_max_bad_fraction()) {
    VIT_RETURN_IF_ERROR(CheckRange("max_bad_fraction", config.max_bad_fraction(), 0, 1));
  }
  VIT_RETURN_IF_ERROR(ValidateSelection(config));
  if (config.shapes().has_train_size() && config.shapes().train_size() < 1) {
    return Out("shapes.train_size", config.shapes().train_size(), "1 or more");
  }
  if (config.shapes().has_val_size() && config.shapes().val_size() < 1) {
    return Out("shapes.val_size", config.shapes().val_size(), "1 or more");
  }
  return absl::OkStatus();
}

int ListingVersion(const DataConfig& config) {
  return config.has_listing_version() ? config.listing_version() : kListingVersion;
}

void MarkStoredListing(DataConfig* config) {
  if (!config->has_listing_version()) config->set_listing_version(1);
}

int EvalImageSize(const DataConfig& config, int image_size) {
  return config.eval().has_image_size() ? config.eval().image_size() : image_size;
}

// Sets a field that is not set.
#define VIT_DEFAULT(message, field, value) \
  if (!(message)->has_##field()) (message)->set_##field(value)

void FillDataConfigDefaults(const DataSet& data, int image_size, int default_loader_threads,
                            DataConfig* config) {
  VIT_DEFAULT(config, listing_version, kListingVersion);
  VIT_DEFAULT(config, validation_fraction, kDefaultValidationFraction);
  TrainTransform* train = config->mutable_train();
  VIT_DEFAULT(train, crop, vit::v1::TRAIN_CROP_RANDOM_RESIZED);
  VIT_DEFAULT(train, padding, 4);
  VIT_DEFAULT(train, scale_min, kDefaultScaleMin);
  VIT_DEFAULT(train, scale_max, kDefaultScaleMax);
  VIT_DEFAULT(train, ratio_min, kDefaultRatioMin);
  VIT_DEFAULT(train, ratio_max, kDefaultRatioMax);
  VIT_DEFAULT(train, horizontal_flip, 0.5);
  vit::v1::RandomErasing* erasing = train->mutable_random_erasing();
  VIT_DEFAULT(erasing, probability, 0);
  VIT_DEFAULT(erasing, fill, vit::v1::ERASING_FILL_NOISE);
  VIT_DEFAULT(erasing, area_min, kDefaultErasedMin);
  VIT_DEFAULT(erasing, area_max, kDefaultErasedMax);
  VIT_DEFAULT(erasing, ratio_min, 0.3);
  VIT_DEFAULT(erasing, max_count, 1);
  vit::v1::EvalTransform* eval = config->mutable_eval();
  VIT_DEFAULT(eval, image_size, image_size);
  VIT_DEFAULT(eval, crop_pct, data.native_size() == eval->image_size() ? 1 : kDefaultCropPct);
  VIT_DEFAULT(eval, crop_mode, vit::v1::CROP_MODE_CENTER);
  VIT_DEFAULT(config, interpolation, vit::v1::INTERPOLATION_BICUBIC);
  FillAugmentationDefaults(config->interpolation(), train);
  if (config->mean().empty()) config->mutable_mean()->Resize(3, 0.5);
  if (config->std().empty()) config->mutable_std()->Resize(3, 0.5);
  VIT_DEFAULT(config, apply_orientation, true);
  VIT_DEFAULT(config, loader_threads, default_loader_threads);
  VIT_DEFAULT(config, prefetch_batches, 4);
  VIT_DEFAULT(config, cache, vit::v1::CACHE_MODE_AUTO);
  VIT_DEFAULT(config, max_cache_bytes, int64_t{2} << 30);
  VIT_DEFAULT(config, max_bad_fraction, 0.01);
  if (config->per_class_limit().empty()) config->add_per_class_limit(0);
  VIT_DEFAULT(config, split_seed, 0);
  VIT_DEFAULT(config, folds, 0);
  VIT_DEFAULT(config, fold, 0);
  VIT_DEFAULT(
      config, validation_split,
      config->folds() > 0 ? vit::v1::VALIDATION_SPLIT_HELD_OUT : vit::v1::VALIDATION_SPLIT_OWN);
  VIT_DEFAULT(config, sampler, vit::v1::SAMPLER_UNIFORM);
  VIT_DEFAULT(config, sampler_power, kDefaultSamplerPower);
  VIT_DEFAULT(config, repeats, 1);
  v1::ShapesConfig* shapes = config->mutable_shapes();
  VIT_DEFAULT(shapes, train_size, kDefaultShapesTrainSize);
  VIT_DEFAULT(shapes, val_size, kDefaultShapesValSize);
  VIT_DEFAULT(shapes, seed, 0);
}

#undef VIT_DEFAULT

}  // namespace vit
