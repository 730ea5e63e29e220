// A service's state: starting, serving or draining.
#ifndef VIT_SERVER_SERVICES_SERVICE_GATE_H_
#define VIT_SERVER_SERVICES_SERVICE_GATE_H_

#include <atomic>
#include <utility>

#include "absl/status/status.h"

namespace vit {

// Holds what a service answers from once vitd has started. Thread-safe.
template <typename Backend>
class ServiceGate {
 public:
  // Begins to serve from `backend`. Called once; without effect after Drain.
  void Serve(Backend backend) {
    backend_ = std::move(backend);
    State starting = State::kStarting;
    state_.compare_exchange_strong(starting, State::kServing);
  }
  // Refuses new work from now on, and all of it if Serve was not called before.
  void Drain() {
    State starting = State::kStarting;
    if (!state_.compare_exchange_strong(starting, State::kNeverServed)) state_ = State::kDraining;
  }

  // UNAVAILABLE until Serve, and for new work from Drain on.
  absl::Status Check(bool new_work) const {
    const State state = state_;
    if (state == State::kStarting) {
      return absl::UnavailableError("vitd is starting; retry in a moment");
    }
    if (state == State::kNeverServed || (state == State::kDraining && new_work)) {
      return absl::UnavailableError("vitd is shutting down; retry later");
    }
    return absl::OkStatus();
  }
  // To be called after a Check that returned OK.
  const Backend& backend() const { return backend_; }

 private:
  enum class State { kStarting, kServing, kDraining, kNeverServed };

  Backend backend_{};  // set before state_ is kServing
  std::atomic<State> state_ = State::kStarting;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_SERVICE_GATE_H_
