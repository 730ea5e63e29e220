#include "core/base/compute/serving_objective.h"

#include <algorithm>
#include <vector>

namespace vit {

void ServingObjective::OnArrived(int images) {
  MutexLock lock(&mu_);
  images_ += images;
}

void ServingObjective::OnServed(absl::Duration latency) {
  MutexLock lock(&mu_);
  latencies_.emplace_back(options_.clock->Now(), latency);
  if (latencies_.size() > kMostLatencies) latencies_.pop_front();
}

void ServingObjective::OnLeft(int images) {
  MutexLock lock(&mu_);
  images_ -= images;
  last_image_ = options_.clock->Now();
  if (images_ == 0) changed_.NotifyAll();
}

double ServingObjective::share() const {
  MutexLock lock(&mu_);
  return share_;
}

bool ServingObjective::IsServing(absl::Time now) const {
  return images_ > 0 || now < last_image_ + kLinger;
}

void ServingObjective::Adapt(absl::Time now) {
  if (now < last_adapted_ + kInterval) return;
  last_adapted_ = now;
  while (!latencies_.empty() && latencies_.front().first < now - kWindow) latencies_.pop_front();
  if (latencies_.empty()) return;
  std::vector<absl::Duration> sorted;
  sorted.reserve(latencies_.size());
  for (const auto& [time, latency] : latencies_) sorted.push_back(latency);
  const auto p99 = sorted.begin() + static_cast<ptrdiff_t>(sorted.size() * 99 / 100);
  std::nth_element(sorted.begin(), p99, sorted.end());
  // Grows faster than it shrinks: an objective missed costs more than a training step.
  if (*p99 > 0.9 * options_.p99) {
    share_ = std::min(kLargestShare, share_ + 0.1);
    // What came before the change would go on counting against it.
    latencies_.clear();
  } else if (*p99 < 0.7 * options_.p99) {
    share_ = std::max(0.0, share_ - 0.05);
  }
}

void ServingObjective::GiveWay(const std::stop_token& stop) {
  if (options_.p99 == absl::InfiniteDuration()) return;
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(&mu_);
    changed_.NotifyAll();
  });
  absl::Duration paused;
  {
    MutexLock lock(&mu_);
    const absl::Time start = options_.clock->Now();
    if (IsServing(start)) {
      Adapt(start);
      const absl::Duration trained =
          resumed_ == absl::InfinitePast() ? absl::ZeroDuration() : start - resumed_;
      const absl::Time end = start + trained * (share_ / (1 - share_));
      for (absl::Time now = start; now < end && IsServing(now) && !stop.stop_requested();
           now = options_.clock->Now()) {
        options_.clock->WaitUntil(&changed_, &mu_, std::min(end, now + kLinger));
      }
    }
    resumed_ = options_.clock->Now();
    paused = resumed_ - start;
  }
  if (paused > absl::ZeroDuration()) options_.on_pause(paused);
}

}  // namespace vit
