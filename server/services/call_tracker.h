// Counts calls in flight, so that shutting down can wait for them.
#ifndef VIT_SERVER_SERVICES_CALL_TRACKER_H_
#define VIT_SERVER_SERVICES_CALL_TRACKER_H_

#include <memory>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace vit {

// Thread-safe. Must outlive every token.
class CallTracker {
 public:
  explicit CallTracker(Clock* clock) : clock_(clock) {}

  // A call is in flight while its token lives.
  std::shared_ptr<void> Enter() {
    MutexLock lock(&mu_);
    ++calls_;
    return std::shared_ptr<void>(nullptr, [this](void*) { Leave(); });
  }

  // Waits until no call is in flight, or until `deadline`; returns whether none is.
  bool AwaitIdle(absl::Time deadline) {
    MutexLock lock(&mu_);
    while (calls_ > 0) {
      if (clock_->WaitUntil(&idle_, &mu_, deadline)) return calls_ == 0;
    }
    return true;
  }

 private:
  void Leave() {
    MutexLock lock(&mu_);
    if (--calls_ == 0) idle_.NotifyAll();
  }

  Clock* const clock_;
  Mutex mu_;
  CondVar idle_;
  int calls_ VIT_GUARDED_BY(mu_) = 0;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_CALL_TRACKER_H_
