#include "core/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

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
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, 5, 20, 0), 2e-4);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, 5, 20, 4), 1e-3);
}

TEST(ScheduleTest, CosineIsHalfACosineToTheMinimum) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_COSINE, 1e-5);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, 10, 110, 10), 1e-3);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, 10, 110, 60), (1e-3 + 1e-5) / 2);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1e-3, 10, 110, 35),
                   1e-5 + (1e-3 - 1e-5) * (1 + std::cos(std::numbers::pi / 4)) / 2);
}

TEST(ScheduleTest, LinearFallsInALine) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_LINEAR, 0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, 0, 100, 0), 1);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1, 0, 100, 25), 0.75);
}

TEST(ScheduleTest, ConstantStays) {
  const auto schedule = Schedule(vit::v1::SCHEDULE_TYPE_CONSTANT, 0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.3, 2, 100, 99), 0.3);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.3, 2, 100, 0), 0.15);
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

}  // namespace
}  // namespace vit
