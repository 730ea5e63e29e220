#include "core/train/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <string>

#include "core/tensor_file/safetensors.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

vit::v1::ScheduleConfig Schedule(vit::v1::ScheduleType type, double low) {
  vit::v1::ScheduleConfig schedule;
  schedule.set_type(type);
  schedule.set_min_learning_rate(low);
  return schedule;
}

TEST(ScheduleTest, WarmupRisesInALineToThePeak) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_COSINE, 0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, {.warmup = 5, .total = 20}, 0), 2e-4);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, {.warmup = 5, .total = 20}, 4), 1e-3);
}

TEST(ScheduleTest, CosineIsHalfACosineToTheMinimum) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_COSINE, 1e-5);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, {.warmup = 10, .total = 110}, 10), 1e-3);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, {.warmup = 10, .total = 110}, 60),
                   (1e-3 + 1e-5) / 2);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, {.warmup = 10, .total = 110}, 35),
                   1e-5 + (1e-3 - 1e-5) * (1 + std::cos(std::numbers::pi / 4)) / 2);
}

TEST(ScheduleTest, LinearFallsInALine) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_LINEAR, 0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, {.warmup = 0, .total = 100}, 0), 1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, {.warmup = 0, .total = 100}, 25), 0.75);
}

TEST(ScheduleTest, ConstantStays) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_CONSTANT, 0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.3, {.warmup = 2, .total = 100}, 99), 0.3);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.3, {.warmup = 2, .total = 100}, 0), 0.15);
}

TEST(ScheduleTest, WarmupIsGivenInStepsEpochsOrAPartOfTheRun) {
  vit::v1::ScheduleConfig steps, epochs, fraction;
  steps.set_warmup_steps(7);
  epochs.set_warmup_epochs(1.5);
  fraction.set_warmup_fraction(0.05);
  EXPECT_EQ(WarmupSteps(steps, 100, 1000), 7);
  EXPECT_EQ(WarmupSteps(epochs, 100, 1000), 150);
  EXPECT_EQ(WarmupSteps(fraction, 100, 1000), 50);
}

vit::v1::ScheduleConfig Parse(const std::string& text) {
  vit::v1::ScheduleConfig schedule;
  EXPECT_TRUE(ParseMessageText(text, &schedule).ok()) << text;
  return schedule;
}

// tests/data/make_recipe_reference.py made the reference. Its warmup is one update late: the rate
// of update k during warmup is the reference's of update k + 1.
TEST(ScheduleTest, FollowsTimmsAndTorchs) {
  auto file = ReadSafetensors(std::filesystem::path(VIT_SOURCE_DIR) /
                              "tests/data/recipes/schedules.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  struct Case {
    std::string name, schedule;
    int64_t warmup;
  };
  const std::vector<Case> cases = {
      {"cosine", "type: SCHEDULE_TYPE_COSINE min_learning_rate: 1e-5", 10},
      {"cosine_warmup_start",
       "type: SCHEDULE_TYPE_COSINE min_learning_rate: 1e-5 warmup_start_learning_rate: 1e-4", 10},
      {"cosine_cycles",
       "type: SCHEDULE_TYPE_COSINE min_learning_rate: 1e-5 cycles: 3 cycle_decay: 0.5", 10},
      {"linear", "type: SCHEDULE_TYPE_LINEAR min_learning_rate: 1e-6", 10},
      {"polynomial", "type: SCHEDULE_TYPE_POLYNOMIAL min_learning_rate: 1e-6 power: 2", 10},
      {"polynomial_root", "type: SCHEDULE_TYPE_POLYNOMIAL min_learning_rate: 1e-6 power: 0.5", 10},
      {"step_timm", "type: SCHEDULE_TYPE_STEP gamma: 0.1 every_steps: 30", 5},
      {"step_torch", "type: SCHEDULE_TYPE_STEP gamma: 0.5 every_epochs: 3", 0},
      {"milestones_torch", "type: SCHEDULE_TYPE_STEP gamma: 0.1 milestone_steps: [30, 60, 80]", 0},
      {"milestones_torch", "type: SCHEDULE_TYPE_STEP gamma: 0.1 milestone_epochs: [3, 6, 8]", 0},
  };
  EXPECT_EQ(file->tensors.size() + 1, cases.size());
  for (const Case& c : cases) {
    const at::Tensor expected = file->tensors.at(c.name);
    const vit::v1::ScheduleConfig schedule = Parse(c.schedule);
    const StepCounts steps{.per_epoch = 10, .warmup = c.warmup, .total = expected.size(0)};
    for (int64_t k = 0; k < steps.total; ++k) {
      const double rate = k < c.warmup - 1    ? expected[k + 1].item<double>()
                          : k == c.warmup - 1 ? 1e-3
                                              : expected[k].item<double>();
      EXPECT_NEAR(LearningRate(schedule, 1e-3, steps, k), rate, 1e-12) << c.name << " update " << k;
    }
  }
}

// Cycles of 100 / 3 updates: each begins at the first update that is not before its place.
TEST(ScheduleTest, CyclesThatDoNotDivideTheRunBeginAtTheNextUpdate) {
  const auto schedule = Parse("type: SCHEDULE_TYPE_COSINE cycles: 3");
  const StepCounts steps{.total = 100};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 0), 1);
  for (const int64_t begin : {34, 67}) {
    EXPECT_LT(LearningRate(schedule, 1, steps, begin - 1), 0.01);
    EXPECT_GT(LearningRate(schedule, 1, steps, begin), 0.99);
  }
  EXPECT_LT(LearningRate(schedule, 1, steps, 99), 0.01);
}

TEST(ScheduleTest, StepsNeverGoBelowTheMinimum) {
  const auto schedule =
      Parse("type: SCHEDULE_TYPE_STEP gamma: 0.1 every_steps: 10 min_learning_rate: 0.05");
  const StepCounts steps{.total = 40};
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 9), 1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 10), 0.1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 20), 0.05);
}

TEST(ScheduleTest, WarmupStableDecayFallsOnlyAtTheEnd) {
  const std::string base = "type: SCHEDULE_TYPE_WARMUP_STABLE_DECAY min_learning_rate: 0.1 ";
  const StepCounts steps{.per_epoch = 10, .warmup = 10, .total = 100};
  for (const char* length : {"decay_steps: 20", "decay_epochs: 2", "decay_fraction: 0.2"}) {
    for (const auto& [shape, half] : {std::pair("DECAY_SHAPE_LINEAR", 0.75),
                                      std::pair("DECAY_SHAPE_COSINE", (2 + std::sqrt(2)) / 4),
                                      std::pair("DECAY_SHAPE_ONE_MINUS_SQRT", 0.5)}) {
      const auto schedule = Parse(base + length + " decay_shape: " + shape);
      EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 4), 0.5);
      EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 10), 1);
      EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 80), 1);
      EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, steps, 85), 0.1 + 0.9 * half) << shape;
      EXPECT_LT(LearningRate(schedule, 1, steps, 99), 0.15) << shape;
    }
  }
}

}  // namespace
}  // namespace vit
