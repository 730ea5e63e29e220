#include "core/data/data_config.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "core/data/dataset.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

vit::v1::DataConfig Parse(const std::string& text) {
  vit::v1::DataConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &config)) << text;
  return config;
}

std::shared_ptr<const DataSet> Shapes(int side) {
  DataSetOptions options;
  options.image_size = side;
  return *DataSet::Open(Parse("source: 'shapes:'"), options);
}

TEST(ValidateDataConfigTest, AnEmptyConfigIsValid) { EXPECT_TRUE(ValidateDataConfig({}).ok()); }

TEST(ValidateDataConfigTest, TakesTheEndsOfEveryRange) {
  EXPECT_TRUE(ValidateDataConfig(Parse(R"(
      source: "folder:/data" validation_fraction: 0.999
      train { crop: TRAIN_CROP_RANDOM padding: 0 scale_min: 1 scale_max: 1 ratio_min: 1 ratio_max: 1
              horizontal_flip: 1 }
      eval { crop_pct: 1 } interpolation: INTERPOLATION_BILINEAR mean: [0, -1, 2] std: [1, 2, 0.1]
      loader_threads: 1 prefetch_batches: 1 cache: CACHE_MODE_OFF max_cache_bytes: 0
      max_bad_fraction: 0 per_class_limit: [0, 9] sampler: SAMPLER_CLASS_BALANCED sampler_power: 2
      folds: 1000 fold: 999
      shapes { train_size: 1 val_size: 1 })"))
                  .ok());
}

TEST(ValidateDataConfigTest, NamesTheFieldThatIsWrong) {
  for (const auto& [text, field] : {
           std::pair{"source: 'pets'", "data.source"},
           {"listing_version: 0", "data.listing_version is 0; expected 1 to 2"},
           {"listing_version: 3", "data.listing_version is 3; expected 1 to 2"},
           {"validation_fraction: 0", "data.validation_fraction is 0"},
           {"validation_fraction: 1", "data.validation_fraction is 1"},
           {"validation_fraction: nan", "data.validation_fraction"},
           {"train { padding: -1 }", "data.train.padding is -1"},
           {"train { scale_min: 0 }", "data.train.scale_min is 0"},
           {"train { scale_min: nan }", "data.train.scale_min"},
           {"train { scale_max: 1.1 }", "data.train.scale_max is 1.1"},
           {"train { scale_max: 0.05 }",
            "data.train.scale_min is 0.08; expected at most "
            "data.train.scale_max, 0.05"},
           {"train { ratio_min: 0 }", "data.train.ratio_min is 0"},
           {"train { ratio_min: 2 }",
            "data.train.ratio_min is 2; expected at most data.train.ratio_max"},
           {"train { horizontal_flip: 1.5 }", "data.train.horizontal_flip is 1.5"},
           {"train { vertical_flip: 2 }", "data.train.vertical_flip is 2; expected 0 to 1"},
           {"train { auto_augment: 'rand-m9-x3' }",
            "data.train.auto_augment is \"rand-m9-x3\": \"x3\" is unknown"},
           {"train { auto_augment: 'v0' jitter_hue: 0.1 }",
            "data.train.auto_augment (v0) changes colours itself, and colour jitter is set too"},
           {"train { auto_augment: 'augmix' jitter_brightness: 0.1 jitter_probability: 0.5 }",
            "or set force_jitter to use both"},
           {"train { jitter_brightness: -0.1 }", "data.train.jitter_brightness is -0.1"},
           {"train { jitter_contrast: 11 }", "data.train.jitter_contrast is 11"},
           {"train { jitter_saturation: nan }", "data.train.jitter_saturation"},
           {"train { jitter_hue: 0.6 }", "data.train.jitter_hue is 0.6; expected 0 to 0.5"},
           {"train { jitter_probability: 1.1 }", "data.train.jitter_probability is 1.1"},
           {"train { grayscale: -1 }", "data.train.grayscale is -1"},
           {"train { gaussian_blur: 2 }", "data.train.gaussian_blur is 2"},
           {"train { blur_kernel_size: 4 }",
            "data.train.blur_kernel_size is 4; expected an odd number"},
           {"train { blur_kernel_size: 257 }", "data.train.blur_kernel_size is 257"},
           {"train { blur_sigma_min: 0 }", "data.train.blur_sigma_min is 0; expected 0.01 to 100"},
           {"train { blur_sigma_max: inf }", "data.train.blur_sigma_max is inf"},
           {"train { blur_sigma_min: 3 }",
            "data.train.blur_sigma_min is 3; expected at most data.train.blur_sigma_max, 2"},
           {"train { solarize: nan }", "data.train.solarize"},
           {"train { solarize_threshold: 257 }", "data.train.solarize_threshold is 257"},
           {"interpolation: INTERPOLATION_RANDOM",
            "data.interpolation is random, which is for training only"},
           {"eval { crop_pct: 0 }", "data.eval.crop_pct is 0"},
           {"eval { crop_pct: 1e-17 }", "data.eval.crop_pct is 1e-17; expected 0.01 to 1"},
           {"eval { crop_pct: 1.2 }", "data.eval.crop_pct is 1.2"},
           {"mean: [0.5, 0.5]", "data.mean has 2 values; expected 3"},
           {"mean: [0.5, 0.5, inf]", "data.mean"},
           {"std: [0.5, 0, 0.5]", "data.std is 0"},
           {"loader_threads: 0", "data.loader_threads is 0"},
           {"prefetch_batches: 0", "data.prefetch_batches is 0"},
           {"max_cache_bytes: -1", "data.max_cache_bytes is -1"},
           {"max_bad_fraction: -0.1", "data.max_bad_fraction is -0.1"},
           {"per_class_limit: [5, -1]", "data.per_class_limit is -1"},
           {"sampler: SAMPLER_CLASS_BALANCED sampler_power: 2.1", "data.sampler_power is 2.1"},
           {"folds: 1", "data.folds is 1"},
           {"folds: -2", "data.folds is -2"},
           {"folds: 5 fold: 5", "data.fold is 5; expected 0 to 4"},
           {"folds: 5 fold: -1", "data.fold is -1"},
           {"fold: 2", "data.fold is 2; expected 0, as data.folds is not set"},
           {"folds: 5 validation_split: VALIDATION_SPLIT_OWN",
            "data.validation_split is own, but data.folds, 5, makes the split"},
           {"sampler_power: nan", "data.sampler_power"},
           {"sampler_power: 0.5", "data.sampler is uniform; set data.sampler to class_balanced"},
           {"shapes { train_size: 0 }", "data.shapes.train_size is 0"},
           {"shapes { val_size: -3 }", "data.shapes.val_size is -3"},
       }) {
    const absl::Status status = ValidateDataConfig(Parse(text));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  }
}

TEST(ValidateDataConfigTest, TakesAugmentationThatGoesTogether) {
  for (const char* train :
       {"auto_augment: 'rand-m9-mstd0.5-inc1' grayscale: 0.1 gaussian_blur: 0.5 solarize: 0.2",
        "auto_augment: '3a' jitter_brightness: 0.3", "auto_augment: 'none' jitter_brightness: 0.4",
        "auto_augment: 'v0' jitter_hue: 0.1 force_jitter: true",
        "auto_augment: 'v0' jitter_hue: 0 jitter_brightness: 0",
        "interpolation: INTERPOLATION_RANDOM vertical_flip: 1 blur_kernel_size: 1 "
        "solarize_threshold: 256 jitter_hue: 0.5"}) {
    const absl::Status status = ValidateDataConfig(Parse(std::string("train {") + train + "}"));
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(DataDefaultsTest, TrainingInterpolatesAsTheDataUnlessToldOtherwise) {
  vit::v1::DataConfig config = Parse("source: 'shapes:' interpolation: INTERPOLATION_BILINEAR");
  vit::v1::DataConfig other = config;
  other.mutable_train()->set_interpolation(vit::v1::INTERPOLATION_RANDOM);
  FillDefaultsFor(*Shapes(32), 32, &config);
  FillDefaultsFor(*Shapes(32), 32, &other);
  EXPECT_EQ(config.train().interpolation(), vit::v1::INTERPOLATION_BILINEAR);
  EXPECT_EQ(other.train().interpolation(), vit::v1::INTERPOLATION_RANDOM);
  EXPECT_EQ(config.train().auto_augment(), "none");
}

TEST(DataDefaultsTest, SetsEveryField) {
  vit::v1::DataConfig config = Parse("source: 'shapes:'");
  FillDefaultsFor(*Shapes(32), 32, &config);
  EXPECT_TRUE(ValidateDataConfig(config).ok());
  EXPECT_EQ(config.loader_threads(), 1);
  EXPECT_THAT(config.mean(), ElementsAre(0.5, 0.5, 0.5));
  EXPECT_THAT(config.std(), ElementsAre(0.5, 0.5, 0.5));
  EXPECT_EQ(config.shapes().train_size(), 20000);
  EXPECT_TRUE(config.shapes().has_seed());
  // Every field that is added to the message needs a default.
  const std::function<void(const google::protobuf::Message&)> check =
      [&](const google::protobuf::Message& message) {
        const auto* reflection = message.GetReflection();
        for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
          const auto* field = message.GetDescriptor()->field(i);
          if (field->is_repeated()) {
            EXPECT_GT(reflection->FieldSize(message, field), 0) << field->full_name();
            continue;
          }
          EXPECT_TRUE(reflection->HasField(message, field)) << field->full_name();
          if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
            check(reflection->GetMessage(message, field));
          }
        }
      };
  check(config);
}

TEST(ListingVersionTest, IsTheNewestForANewSpecAndTheFirstForAnOldOne) {
  vit::v1::DataConfig fresh = Parse("source: 'shapes:'"), stored = fresh;
  FillDefaultsFor(*Shapes(32), 32, &fresh);
  EXPECT_EQ(fresh.listing_version(), 2);
  MarkStoredListing(&fresh);
  EXPECT_EQ(fresh.listing_version(), 2);
  MarkStoredListing(&stored);
  FillDefaultsFor(*Shapes(32), 32, &stored);
  EXPECT_EQ(stored.listing_version(), 1);
}

TEST(DataDefaultsTest, KeepsWhatIsSetEvenToZero) {
  vit::v1::DataConfig config = Parse(R"(
      source: "shapes:" train { padding: 0 horizontal_flip: 0 } max_bad_fraction: 0
      eval { crop_pct: 0.5 } apply_orientation: false mean: [0, 0, 0])");
  FillDefaultsFor(*Shapes(32), 32, &config);
  EXPECT_EQ(config.train().padding(), 0);
  EXPECT_EQ(config.train().horizontal_flip(), 0);
  EXPECT_EQ(config.max_bad_fraction(), 0);
  EXPECT_EQ(config.eval().crop_pct(), 0.5);
  EXPECT_FALSE(config.apply_orientation());
  EXPECT_THAT(config.mean(), ElementsAre(0, 0, 0));
}

TEST(DataDefaultsTest, FoldsHoldOutTheirOwnSplit) {
  vit::v1::DataConfig config = Parse("source: 'shapes:' folds: 3");
  FillDefaultsFor(*Shapes(32), 32, &config);
  EXPECT_EQ(config.validation_split(), vit::v1::VALIDATION_SPLIT_HELD_OUT);
  EXPECT_TRUE(ValidateDataConfig(config).ok());
}

TEST(DataDefaultsTest, CropPctHangsOnTheSourcesOwnSize) {
  vit::v1::DataConfig same = Parse("source: 'shapes:'");
  vit::v1::DataConfig other = same;
  FillDefaultsFor(*Shapes(32), 32, &same);
  FillDefaultsFor(*Shapes(32), 64, &other);
  EXPECT_EQ(same.eval().crop_pct(), 1);
  EXPECT_EQ(other.eval().crop_pct(), 0.875);
}

}  // namespace
}  // namespace vit
