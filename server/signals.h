// SIGTERM and SIGINT as events, without signal handlers.
#ifndef VIT_SERVER_SIGNALS_H_
#define VIT_SERVER_SIGNALS_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "core/base/mutex.h"

namespace vit {

// Waits for SIGTERM and SIGINT on its own thread: OnFirst and AwaitFirst report the first one, the
// second one ends the process at once with code 128 + its number. Signals within a second of the
// first belong to it: `timeout` and terminals send one to the process and one to its group. Also
// ignores SIGPIPE (a client that went away) and SIGXFSZ (a file over RLIMIT_FSIZE), so that both
// become errors of the write. Make one, in main, before any other thread.
class ShutdownSignals {
 public:
  ShutdownSignals();
  ~ShutdownSignals();

  // Calls `action` on the first signal, at once if it has already come, and before AwaitFirst
  // returns. Called at most once; what `action` uses must outlive this object.
  void OnFirst(std::function<void()> action);
  // Calls `action` with the second signal, just before the process ends.
  void OnSecond(std::function<void(int signal)> action);
  // Returns whether a signal has come.
  bool received() const;
  // Blocks until the first signal, and returns it.
  int AwaitFirst();

 private:
  void Wait();

  std::atomic<bool> stopping_ = false;
  mutable Mutex mu_;
  CondVar received_;
  std::function<void()> on_first_ VIT_GUARDED_BY(mu_);
  std::function<void(int signal)> on_second_ VIT_GUARDED_BY(mu_);
  int first_ VIT_GUARDED_BY(mu_) = 0;
  std::chrono::steady_clock::time_point first_time_ VIT_GUARDED_BY(mu_);
  std::thread thread_;  // last: uses all of the above
};

}  // namespace vit

#endif  // VIT_SERVER_SIGNALS_H_
