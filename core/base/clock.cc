#include "core/base/clock.h"

#include <algorithm>
#include <vector>

#include "absl/time/clock.h"

namespace vit {
namespace {

class RealClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
  bool WaitUntil(CondVar* cv, Mutex* mu, absl::Time deadline) override VIT_REQUIRES(mu) {
    if (deadline == absl::InfiniteFuture()) {
      cv->Wait(mu);
      return false;
    }
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return true;
    // An hour at most, so that a step of the system's clock is noticed.
    WaitFor(cv, mu, std::min(left, absl::Hours(1)));
    return absl::Now() >= deadline;
  }
};

}  // namespace

Clock* Clock::Real() {
  static RealClock clock;
  return &clock;
}

void Clock::WaitFor(CondVar* cv, Mutex* mu, absl::Duration timeout) {
  cv->WaitFor(mu, absl::ToChronoNanoseconds(timeout));
}

absl::Time FakeClock::Now() {
  MutexLock lock(&mu_);
  return now_;
}

bool FakeClock::WaitUntil(CondVar* cv, Mutex* mu, absl::Time deadline) {
  if (deadline == absl::InfiniteFuture()) {
    cv->Wait(mu);
    return false;
  }
  std::list<Waiter>::iterator self;
  {
    MutexLock lock(&mu_);
    if (now_ >= deadline) return true;
    self = waiters_.insert(waiters_.end(), Waiter{cv, mu});
    changed_.NotifyAll();
  }
  cv->Wait(mu);
  MutexLock lock(&mu_);
  waiters_.erase(self);
  return now_ >= deadline;
}

void FakeClock::Advance(absl::Duration d) {
  std::vector<Waiter> waiters;
  {
    MutexLock lock(&mu_);
    now_ += d;
    waiters.assign(waiters_.begin(), waiters_.end());
  }
  for (const Waiter& waiter : waiters) {
    // A waiter registers with its mutex held and releases it only inside Wait, so acquiring the
    // mutex here proves that the notification is not lost.
    waiter.mu->Lock();
    waiter.mu->Unlock();
    waiter.cv->NotifyAll();
  }
}

void FakeClock::AwaitWaiters(int count) {
  MutexLock lock(&mu_);
  while (static_cast<int>(waiters_.size()) < count) changed_.Wait(&mu_);
}

}  // namespace vit
