#include "core/runs/progress_meter.h"

#include <algorithm>
#include <cmath>

namespace vit {
namespace {

constexpr double kSmoothingSeconds = 10;
constexpr int64_t kMinSteps = 5;

}  // namespace

void ProgressMeter::OnStep(absl::Time now, int samples) {
  if (!started_) {
    // The first step also warms up caches and allocators, and it is not known when it began.
    started_ = true;
    first_ = now;
  } else {
    ++all_steps_;
    if (!paused_) {
      const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - last_));
      const double keep = std::exp(-seconds / kSmoothingSeconds);
      samples_ = keep * samples_ + samples;
      steps_ = keep * steps_ + 1;
      seconds_ = keep * seconds_ + seconds;
      ++counted_steps_;
      counted_seconds_ += seconds;
    }
  }
  last_ = now;
  paused_ = false;
}

double ProgressMeter::images_per_second() const { return seconds_ > 0 ? samples_ / seconds_ : 0; }

std::optional<absl::Duration> ProgressMeter::TimeLeft(int64_t remaining_steps) const {
  if (counted_steps_ < kMinSteps || counted_seconds_ <= 0) return std::nullopt;
  // Compares all the time since the first step with what its steps would take at training speed.
  const double ideal = counted_seconds_ / counted_steps_ * all_steps_;
  const double overhead = std::max(1.0, absl::ToDoubleSeconds(last_ - first_) / ideal);
  return absl::Seconds(seconds_ / steps_ * overhead *
                       static_cast<double>(std::max<int64_t>(remaining_steps, 0)));
}

}  // namespace vit
