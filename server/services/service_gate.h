// Whether a service answers: while vitd starts, serves and drains.
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
  // Begins to serve from `backend`. Called once.
  void Serve(Backend backend) {
    backend_ = std::move(backend);
    state_ = State::kServing;
  }
  // From now on new work is refused.
  void Drain() {
    if (state_.exchange(State::kDraining) == State::kStarting) never_served_ = true;
  }

  // UNAVAILABLE until Serve, and for new work from Drain on.
  absl::Status Check(bool new_work) const {
    const State state = state_;
    if (state == State::kStarting) {
      return absl::UnavailableError("vitd is starting; retry in a moment");
    }
    if (state == State::kDraining && (new_work || never_served_)) {
      return absl::UnavailableError("vitd is shutting down; retry later");
    }
    return absl::OkStatus();
  }
  // After a Check that was OK.
  const Backend& backend() const { return backend_; }

 private:
  enum class State { kStarting, kServing, kDraining };

  Backend backend_{};  // set before state_ is kServing
  std::atomic<State> state_ = State::kStarting;
  std::atomic<bool> never_served_ = false;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_SERVICE_GATE_H_
