// The time that a load generator goes by.
#ifndef VIT_CLIENT_VITCTL_LOAD_LOAD_CLOCK_H_
#define VIT_CLIENT_VITCTL_LOAD_LOAD_CLOCK_H_

#include <stop_token>

#include "absl/time/time.h"

namespace vit {

// Counts from some moment in the past and never goes back. Thread-safe.
class LoadClock {
 public:
  virtual ~LoadClock() = default;
  virtual absl::Duration Now() = 0;
  // Returns at `time`, or earlier if `stop` is requested.
  virtual void WaitUntil(absl::Duration time, const std::stop_token& stop) = 0;
};

class SteadyLoadClock final : public LoadClock {
 public:
  absl::Duration Now() override;
  void WaitUntil(absl::Duration time, const std::stop_token& stop) override;
};

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_LOAD_CLOCK_H_
