#include "client/vitctl/load/load_clock.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace vit {

absl::Duration SteadyLoadClock::Now() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

void SteadyLoadClock::WaitUntil(absl::Duration time, const std::stop_token& stop) {
  std::mutex mu;
  std::condition_variable_any stopped;
  std::unique_lock lock(mu);
  const std::chrono::steady_clock::time_point until(absl::ToChronoNanoseconds(time));
  stopped.wait_until(lock, stop, until, [] { return false; });
}

}  // namespace vit
