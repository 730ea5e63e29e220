#include "core/train/recipe/recipe_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/base/file.h"
#include "core/train/plan_run.h"
#include "core/train/resolve_spec.h"
#include "proto/set_field.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::vit::v1::TrainingSpec;

class RecipeConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    environment_.data_roots = {root_.string()};
  }
  void TearDown() override { fs::remove_all(root_); }

  // Makes a folder with `counts` training images of each class; none of them is ever decoded.
  std::string MakeFolder(const std::vector<int>& counts) {
    for (size_t c = 0; c < counts.size(); ++c) {
      for (const auto& [split, count] :
           {std::pair<std::string, int>{"train", counts[c]}, {"val", 1}}) {
        const fs::path folder = root_ / split / ("class-" + std::to_string(c));
        fs::create_directories(folder);
        for (int i = 0; i < count; ++i) {
          EXPECT_TRUE(WriteFile(folder / (std::to_string(i) + ".jpg"), "no image").ok());
        }
      }
    }
    return "folder:" + root_.string();
  }

  absl::StatusOr<ResolvedSpec> Resolve(const std::vector<std::string>& assignments,
                                       const std::string& source = "shapes:") {
    TrainingSpec spec;
    spec.mutable_data()->set_source(source);
    for (const std::string& assignment : assignments) {
      const absl::Status set = SetField(assignment, &spec);
      EXPECT_TRUE(set.ok()) << set;
    }
    return PlanRun("shapes_demo", spec, environment_);
  }

  fs::path root_;
  TrainingEnvironment environment_;
};

TEST_F(RecipeConfigTest, WeightsByFrequencyAreTheInverseOnesOfTheTrainingSplit) {
  const std::string source = MakeFolder({2, 4, 8});
  const auto resolved = Resolve({"loss.class_weighting=inverse_frequency", "batch_size=4"}, source);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  const auto& weights = resolved->spec.loss().class_weights();
  ASSERT_EQ(weights.size(), 3);
  EXPECT_DOUBLE_EQ(weights[0], 4.0 / 7);
  EXPECT_DOUBLE_EQ(weights[1], 2.0 / 7);
  EXPECT_DOUBLE_EQ(weights[2], 1.0 / 7);
  // The stored spec resolves to the same again.
  const auto again = PlanRun("", resolved->spec, environment_);
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST_F(RecipeConfigTest, WhatCannotWorkIsNamedWithTheWayOut) {
  struct Case {
    std::vector<std::string> assignments;
    std::string message;
  };
  for (const Case& bad : std::vector<Case>{
           {{"loss.class_weights=1,2"}, "loss.class_weights has 2 values, the data has 10"},
           {{"loss.class_weights=1,1,1,1,1,1,1,1,1,0"},
            "loss.class_weights is 0; expected above 0"},
           {{"loss.class_weighting=inverse_frequency", "loss.class_weights=1,2,1,1,1,1,1,1,1,1"},
            "set one of them"},
           {{"loss.focal_gamma=2"}, "loss.focal_gamma applies to loss.type focal"},
           {{"loss.type=focal", "loss.focal_gamma=-1"}, "loss.focal_gamma is -1"},
           {{"loss.binary_threshold=0"}, "applies to loss.type binary_cross_entropy"},
           {{"loss.type=binary_cross_entropy", "loss.binary_threshold=1"},
            "loss.binary_threshold is 1"},
           {{"loss.hardest_fraction=0"}, "loss.hardest_fraction is 0; expected above 0, at most 1"},
           {{"loss.hardest_fraction=0.5", "mixing.cutmix_alpha=1"},
            "loss.hardest_fraction picks the images"},
           {{"mixing.mixup_alpha=-1"}, "mixing.mixup_alpha is -1"},
           {{"mixing.mixup_alpha=1", "mixing.probability=2"}, "mixing.probability is 2"},
           {{"mixing.mixup_alpha=1", "batch_size=1"}, "batch_size is 1"},
           {{"averaging.ema_decay=1"}, "averaging.ema_decay is 1"},
           {{"averaging.swa_learning_rate=0.1"}, "no effect without averaging.swa_start_epoch"},
           {{"averaging.swa_start_epoch=2", "epochs=2"},
            "averaging.swa_start_epoch 2: the first average, of step 936, is beyond the run's end, "
            "step 624"},
           {{"averaging.swa_start_epoch=0", "averaging.swa_learning_rate=0"},
            "averaging.swa_learning_rate is 0"},
           {{"averaging.swa_start_epoch=0", "averaging.swa_every_steps=0"},
            "averaging.swa_every_steps is 0"},
           {{"early_stopping.patience=-1"}, "early_stopping.patience is -1"},
           {{"evaluation.top_k=11"}, "evaluation.top_k is 11; expected at most 10"},
           {{"evaluation.top_k=10", "evaluation.best=top_k_accuracy"},
            "evaluation.best is top_k_accuracy, which is always 1 at evaluation.top_k 10 of 10"},
           {{"loss.type=binary_cross_entropy", "loss.binary_threshold=0", "label_smoothing=0.1"},
            "loss.binary_threshold 0 makes all targets the same: at label_smoothing 0.1 they lie "
            "between 0.01 and 0.91"},
           {{"loss.type=binary_cross_entropy", "loss.binary_threshold=0.95", "label_smoothing=0.1"},
            "loss.binary_threshold 0.95 makes all targets the same"},
       }) {
    const auto resolved = Resolve(bad.assignments);
    EXPECT_EQ(resolved.status().code(), absl::StatusCode::kInvalidArgument)
        << bad.message << ": " << resolved.status();
    EXPECT_THAT(std::string(resolved.status().message()), HasSubstr(bad.message));
  }
}

}  // namespace
}  // namespace vit
