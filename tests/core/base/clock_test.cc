#include "core/base/clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace vit {
namespace {

TEST(FakeClockTest, MovesOnlyWhenTold) {
  FakeClock clock(absl::UnixEpoch());
  EXPECT_EQ(clock.Now(), absl::UnixEpoch());
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.Now(), absl::UnixEpoch() + absl::Seconds(3));
}

TEST(FakeClockTest, AWaitEndsWhenItsDeadlineComes) {
  FakeClock clock;
  Mutex mu;
  CondVar cv;
  bool timed_out = false;
  std::thread waiter([&] {
    MutexLock lock(&mu);
    const absl::Time deadline = clock.Now() + absl::Seconds(10);
    while (!clock.WaitUntil(&cv, &mu, deadline)) {
    }
    timed_out = true;
  });
  clock.AwaitWaiters(1);
  clock.Advance(absl::Seconds(9));  // wakes it, too early
  clock.AwaitWaiters(1);
  clock.Advance(absl::Seconds(1));
  waiter.join();
  EXPECT_TRUE(timed_out);
}

TEST(FakeClockTest, ANotificationEndsAWaitBeforeItsDeadline) {
  FakeClock clock;
  Mutex mu;
  CondVar cv;
  bool ready = false;
  std::thread waiter([&] {
    MutexLock lock(&mu);
    while (!ready) EXPECT_FALSE(clock.WaitUntil(&cv, &mu, clock.Now() + absl::Hours(1)));
  });
  clock.AwaitWaiters(1);
  {
    MutexLock lock(&mu);
    ready = true;
    cv.NotifyAll();
  }
  waiter.join();
}

TEST(RealClockTest, APastDeadlineDoesNotWait) {
  Mutex mu;
  CondVar cv;
  MutexLock lock(&mu);
  EXPECT_TRUE(Clock::Real()->WaitUntil(&cv, &mu, Clock::Real()->Now() - absl::Seconds(1)));
  EXPECT_TRUE(Clock::Real()->WaitUntil(&cv, &mu, absl::InfinitePast()));
}

TEST(RealClockTest, AWaitReturnsAtItsDeadline) {
  Mutex mu;
  CondVar cv;
  MutexLock lock(&mu);
  const absl::Time deadline = Clock::Real()->Now() + absl::Milliseconds(5);
  while (!Clock::Real()->WaitUntil(&cv, &mu, deadline)) {
  }
  EXPECT_GE(Clock::Real()->Now(), deadline);
}

}  // namespace
}  // namespace vit
