#include "core/spec/defaults.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/spec/rules.h"
#include "proto/set_field.h"

namespace vit {
namespace {

using ::vit::v1::TrainingSpec;

TrainingSpec Filled(const SpecFacts& facts, const std::vector<std::string>& assignments) {
  TrainingSpec spec;
  for (const std::string& assignment : assignments) {
    EXPECT_TRUE(SetField(assignment, &spec).ok()) << assignment;
  }
  FillDefaults(facts, &spec);
  return spec;
}

TEST(FillDefaultsTest, LeavesOpenWhatTheDataDecides) {
  TrainingSpec spec = Filled({}, {"model.image_size=32"});
  EXPECT_FALSE(spec.model().has_num_classes());
  EXPECT_FALSE(spec.data().eval().has_crop_pct());
  EXPECT_FALSE(spec.has_precision());
  FillDefaults(
      {.class_count = 3, .native_image_size = 32, .compute_threads = 2, .loader_threads = 5},
      &spec);
  EXPECT_EQ(spec.model().num_classes(), 3);
  EXPECT_EQ(spec.data().eval().crop_pct(), 1);
  EXPECT_EQ(spec.data().loader_threads(), 5);
  EXPECT_EQ(spec.compute_threads(), 2);
  EXPECT_EQ(spec.evaluation().top_k(), 3);
  EXPECT_EQ(spec.precision(), vit::v1::PRECISION_FLOAT32);
  EXPECT_TRUE(CheckRules(spec).ok()) << CheckRules(spec);
}

TEST(FillDefaultsTest, FollowsOtherFields) {
  const TrainingSpec spec =
      Filled({.class_count = 10},
             {"model.global_pool=avg", "model.norm_layer=batch_norm", "model.patch_size=8",
              "data.folds=3", "batch_size=64", "data.interpolation=bilinear"});
  EXPECT_TRUE(spec.model().fc_norm());
  EXPECT_EQ(spec.model().layer_norm_eps(), 1e-5);
  EXPECT_EQ(spec.model().patch_width(), 8);
  EXPECT_EQ(spec.data().validation_split(), vit::v1::VALIDATION_SPLIT_HELD_OUT);
  EXPECT_EQ(spec.data().train().interpolation(), vit::v1::INTERPOLATION_BILINEAR);
  EXPECT_EQ(spec.evaluation().batch_size(), 64);
}

TEST(FillDefaultsTest, ALearningRateFollowsFromTheBaseRate) {
  EXPECT_DOUBLE_EQ(
      Filled({}, {"batch_size=64", "optimizer.base_learning_rate=0.4"}).optimizer().learning_rate(),
      0.1);
  EXPECT_DOUBLE_EQ(Filled({}, {"batch_size=64", "optimizer.base_learning_rate=0.4",
                               "optimizer.learning_rate_scaling=square_root"})
                       .optimizer()
                       .learning_rate(),
                   0.2);
}

TEST(FillDefaultsTest, BFloat16IsForDevicesAndWidthsThatGain) {
  const SpecFacts wide = {.class_count = 2, .least_bfloat16_width = 256};
  const SpecFacts all = {.class_count = 2, .least_bfloat16_width = 1};
  EXPECT_EQ(Filled(wide, {"model.embed_dim=192"}).precision(), vit::v1::PRECISION_FLOAT32);
  EXPECT_EQ(Filled(wide, {"model.embed_dim=256"}).precision(), vit::v1::PRECISION_BFLOAT16);
  EXPECT_EQ(Filled(all, {"model.embed_dim=192"}).precision(), vit::v1::PRECISION_BFLOAT16);
  EXPECT_EQ(Filled({.class_count = 2}, {}).precision(), vit::v1::PRECISION_FLOAT32);
}

TEST(FillDefaultsTest, ASeedIsDrawnOnceAndKept) {
  TrainingSpec spec = Filled({.class_count = 2}, {});
  const uint64_t seed = spec.seed();
  FillDefaults({.class_count = 2}, &spec);
  EXPECT_EQ(spec.seed(), seed);
  EXPECT_NE(Filled({.class_count = 2}, {}).seed(), seed);
}

}  // namespace
}  // namespace vit
