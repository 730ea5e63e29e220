#include "core/base/compute/serving_objective.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace vit {
namespace {

class ServingObjectiveTest : public ::testing::Test {
 protected:
  ServingObjective Make(absl::Duration p99) {
    return ServingObjective({.p99 = p99,
                             .on_pause = [this](absl::Duration pause) { paused_ += pause; },
                             .clock = &clock_});
  }
  // A micro-batch of 100 ms, then GiveWay, during which time passes as it waits. An image is served
  // meanwhile with that latency. Returns how long it paused.
  absl::Duration Train(ServingObjective* objective, absl::Duration latency) {
    clock_.Advance(absl::Milliseconds(100));
    objective->OnServed(latency);
    const absl::Duration before = paused_;
    std::atomic<bool> done = false;
    std::thread training([&] {
      objective->GiveWay(stop_.get_token());
      done = true;
    });
    while (!done) {
      clock_.Advance(absl::Milliseconds(1));
      std::this_thread::yield();
    }
    training.join();
    return paused_ - before;
  }

  FakeClock clock_;
  std::stop_source stop_;
  absl::Duration paused_;
};

TEST_F(ServingObjectiveTest, PausesMoreWhileImagesAreLateAndNotAtAllOnceTheyAreFast) {
  ServingObjective objective = Make(absl::Milliseconds(50));
  objective.OnArrived(1);
  for (int i = 0; i < 100; ++i) Train(&objective, absl::Milliseconds(80));
  EXPECT_DOUBLE_EQ(objective.share(), ServingObjective::kLargestShare);
  EXPECT_GT(Train(&objective, absl::Milliseconds(80)), absl::Milliseconds(500));
  for (int i = 0; i < 1000; ++i) Train(&objective, absl::Milliseconds(10));
  EXPECT_EQ(objective.share(), 0);
  EXPECT_EQ(Train(&objective, absl::Milliseconds(10)), absl::ZeroDuration());
}

TEST_F(ServingObjectiveTest, WithoutImagesTrainingHasTheWholeMachine) {
  ServingObjective objective = Make(absl::Milliseconds(50));
  objective.OnArrived(1);
  for (int i = 0; i < 100; ++i) Train(&objective, absl::Milliseconds(80));
  objective.OnLeft(1);
  clock_.Advance(absl::Seconds(1));
  const absl::Duration before = paused_;
  objective.GiveWay(stop_.get_token());
  EXPECT_EQ(paused_, before);
}

TEST_F(ServingObjectiveTest, WithoutAnObjectiveTrainingNeverPauses) {
  ServingObjective objective = Make(absl::InfiniteDuration());
  objective.OnArrived(1);
  for (int i = 0; i < 100; ++i) Train(&objective, absl::Seconds(80));
  EXPECT_EQ(paused_, absl::ZeroDuration());
}

TEST_F(ServingObjectiveTest, AStoppedRunDoesNotPause) {
  ServingObjective objective = Make(absl::Milliseconds(50));
  objective.OnArrived(1);
  for (int i = 0; i < 100; ++i) Train(&objective, absl::Milliseconds(80));
  stop_.request_stop();
  EXPECT_EQ(Train(&objective, absl::Milliseconds(80)), absl::ZeroDuration());
}

}  // namespace
}  // namespace vit
