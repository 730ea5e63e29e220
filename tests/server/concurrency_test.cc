// The small parts that shutting down is made of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <memory>
#include <thread>

#include "core/base/clock.h"
#include "server/exit_watchdog.h"
#include "server/services/call_tracker.h"

namespace vit {
namespace {

TEST(CallTrackerTest, WaitsForTheLastCall) {
  CallTracker calls(Clock::Real());
  EXPECT_TRUE(calls.AwaitIdle(absl::InfinitePast()));
  std::shared_ptr<void> first = calls.Enter(), second = calls.Enter();
  first.reset();
  EXPECT_FALSE(calls.AwaitIdle(absl::InfinitePast()));
  std::thread ending([&] { second.reset(); });
  EXPECT_TRUE(calls.AwaitIdle(absl::InfiniteFuture()));
  ending.join();
}

TEST(CallTrackerTest, GivesUpAtTheDeadline) {
  FakeClock clock;
  CallTracker calls(&clock);
  const std::shared_ptr<void> call = calls.Enter();
  const absl::Time deadline = clock.Now() + absl::Seconds(30);
  std::thread advancing([&] {
    clock.AwaitWaiters(1);
    clock.Advance(absl::Seconds(30));
  });
  EXPECT_FALSE(calls.AwaitIdle(deadline));
  advancing.join();
}

TEST(ExitWatchdogTest, ActsAtTheDeadline) {
  FakeClock clock;
  std::latch acted(1);
  ExitWatchdog watchdog(clock.Now() + absl::Seconds(30), &clock, [&] { acted.count_down(); });
  clock.AwaitWaiters(1);
  clock.Advance(absl::Seconds(30));
  acted.wait();
}

TEST(ExitWatchdogTest, DoesNothingWhereItWasInTime) {
  FakeClock clock;
  bool acted = false;
  {
    ExitWatchdog watchdog(clock.Now() + absl::Seconds(30), &clock, [&] { acted = true; });
  }
  clock.Advance(absl::Seconds(30));
  EXPECT_FALSE(acted);
}

}  // namespace
}  // namespace vit
