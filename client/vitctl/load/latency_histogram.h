// Counts durations in buckets, for percentiles of any number of them.
#ifndef VIT_CLIENT_VITCTL_LOAD_LATENCY_HISTOGRAM_H_
#define VIT_CLIENT_VITCTL_LOAD_LATENCY_HISTOGRAM_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace vit {

// Each power of two of nanoseconds has 128 buckets, as in HdrHistogram, so that a percentile is at
// most 0.8% above the exact one. The maximum is exact.
class LatencyHistogram {
 public:
  // A negative latency counts as 0.
  void Add(absl::Duration latency);
  void Merge(const LatencyHistogram& other);

  int64_t count() const { return count_; }
  absl::Duration max() const { return max_; }
  // Returns the latency that a fraction `ratio`, 0..1, of all does not exceed; 0 if there are none.
  absl::Duration Percentile(double ratio) const;

 private:
  std::vector<int64_t> buckets_;  // as many as the largest latency needs
  int64_t count_ = 0;
  absl::Duration max_ = absl::ZeroDuration();
};

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_LATENCY_HISTOGRAM_H_
