// A run's speed and time left.
#ifndef VIT_CORE_RUNS_PROGRESS_METER_H_
#define VIT_CORE_RUNS_PROGRESS_METER_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace vit {

// Measures from one step to the next, which is also right for devices that compute asynchronously.
// Steps with something else between them (an evaluation) do not count as training speed; their
// extra time enters the time left in proportion. Not thread-safe.
class ProgressMeter {
 public:
  // Reports that something other than training is running.
  void OnPause() { paused_ = true; }
  void OnStep(absl::Time now, int samples);

  // Smoothed over about the last ten seconds of training; 0 while not known.
  double images_per_second() const;
  // Empty for the first few steps.
  std::optional<absl::Duration> TimeLeft(int64_t remaining_steps) const;

 private:
  bool started_ = false;
  bool paused_ = false;
  absl::Time first_;
  absl::Time last_;
  // Exponentially decayed sums, of the steps that count.
  double samples_ = 0;
  double steps_ = 0;
  double seconds_ = 0;
  int64_t counted_steps_ = 0;
  int64_t all_steps_ = 0;
  double counted_seconds_ = 0;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_PROGRESS_METER_H_
