// The small parts that shutting down is made of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "core/base/clock.h"
#include "server/call_tracker.h"
#include "server/exit_watchdog.h"
#include "server/task_pool.h"

namespace vit {
namespace {

// Lets one thread wait for another.
class Gate {
 public:
  void Open() {
    MutexLock lock(&mu_);
    open_ = true;
    changed_.NotifyAll();
  }
  void Await() {
    MutexLock lock(&mu_);
    while (!open_) changed_.Wait(&mu_);
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool open_ VIT_GUARDED_BY(mu_) = false;
};

TEST(TaskPoolTest, RefusesMoreThanMayWaitAndRunsWhatItTook) {
  std::atomic<int> ran = 0;
  Gate started, go;
  {
    TaskPool pool(/*threads=*/1, /*max_queued=*/2);
    ASSERT_TRUE(pool.Run([&] {
                      started.Open();
                      go.Await();
                      ++ran;
                    })
                    .ok());
    started.Await();
    EXPECT_TRUE(pool.Run([&] { ++ran; }).ok());
    EXPECT_TRUE(pool.Run([&] { ++ran; }).ok());
    EXPECT_EQ(pool.Run([&] { ran += 100; }).code(), absl::StatusCode::kResourceExhausted);
    go.Open();
  }
  EXPECT_EQ(ran, 3);
}

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
  Gate acted;
  ExitWatchdog watchdog(clock.Now() + absl::Seconds(30), &clock, [&] { acted.Open(); });
  clock.AwaitWaiters(1);
  clock.Advance(absl::Seconds(30));
  acted.Await();
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
