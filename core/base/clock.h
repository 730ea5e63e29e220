// The only source of "now" and of timed waits, so that tests can control time.
#ifndef VIT_CORE_BASE_CLOCK_H_
#define VIT_CORE_BASE_CLOCK_H_

#include <list>

#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace vit {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The system's clock; lives as long as the process.
  static Clock* Real();

  virtual absl::Time Now() = 0;

  // Waits on `cv`, with `mu` held, until it is notified or `deadline` passes, and returns whether
  // it has passed. May return early, as CondVar::Wait may. absl::InfiniteFuture() waits without a
  // limit.
  virtual bool WaitUntil(CondVar* cv, Mutex* mu, absl::Time deadline) VIT_REQUIRES(mu) = 0;

 protected:
  static void WaitFor(CondVar* cv, Mutex* mu, absl::Duration timeout) VIT_REQUIRES(mu);
};

// A clock that moves only when told to. Everything that waits on it must outlive a call of Advance.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::UnixEpoch() + absl::Hours(24 * 365 * 50)) : now_(now) {}

  absl::Time Now() override;
  bool WaitUntil(CondVar* cv, Mutex* mu, absl::Time deadline) override VIT_REQUIRES(mu);

  // Moves time forward and wakes every waiter.
  void Advance(absl::Duration d);

  // Returns once at least `count` threads are inside WaitUntil with a finite deadline.
  void AwaitWaiters(int count);

 private:
  struct Waiter {
    CondVar* cv;
    Mutex* mu;
  };
  Mutex mu_;
  CondVar changed_;
  absl::Time now_ VIT_GUARDED_BY(mu_);
  std::list<Waiter> waiters_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_CORE_BASE_CLOCK_H_
