// Ends the process when shutting down takes too long.
#ifndef VIT_SERVER_EXIT_WATCHDOG_H_
#define VIT_SERVER_EXIT_WATCHDOG_H_

#include <functional>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace vit {

// Runs `on_deadline`, which must end the process, on its own thread unless destroyed before
// `deadline`.
class ExitWatchdog {
 public:
  ExitWatchdog(absl::Time deadline, Clock* clock, std::function<void()> on_deadline)
      : thread_([this, deadline, clock, on_deadline = std::move(on_deadline)] {
          {
            MutexLock lock(&mu_);
            while (!cancelled_ && !clock->WaitUntil(&changed_, &mu_, deadline)) {
            }
            if (cancelled_) return;
          }
          on_deadline();
        }) {}
  ~ExitWatchdog() {
    {
      MutexLock lock(&mu_);
      cancelled_ = true;
      changed_.NotifyAll();
    }
    thread_.join();
  }

 private:
  Mutex mu_;
  CondVar changed_;
  bool cancelled_ VIT_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace vit

#endif  // VIT_SERVER_EXIT_WATCHDOG_H_
