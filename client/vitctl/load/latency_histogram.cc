#include "client/vitctl/load/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vit {
namespace {

constexpr int kBits = 7;
constexpr uint64_t kBuckets = uint64_t{1} << kBits;  // of each power of two

// Values below 2 * kBuckets have a bucket each; above, `shift` low bits are dropped.
size_t BucketOf(uint64_t nanoseconds) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(nanoseconds)) - kBits - 1);
  return shift * kBuckets + (nanoseconds >> shift);
}

// The largest value in the bucket.
uint64_t HighestIn(size_t bucket) {
  if (bucket < 2 * kBuckets) return bucket;
  const size_t shift = bucket / kBuckets - 1;
  return ((bucket - shift * kBuckets + 1) << shift) - 1;
}

}  // namespace

void LatencyHistogram::Add(absl::Duration latency) {
  latency = std::max(latency, absl::ZeroDuration());
  const size_t bucket = BucketOf(static_cast<uint64_t>(absl::ToInt64Nanoseconds(latency)));
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  ++count_;
  max_ = std::max(max_, latency);
}

void LatencyHistogram::Merge(const LatencyHistogram& other) {
  buckets_.resize(std::max(buckets_.size(), other.buckets_.size()));
  for (size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

absl::Duration LatencyHistogram::Percentile(double ratio) const {
  const auto rank =
      std::max(int64_t{1}, static_cast<int64_t>(std::ceil(ratio * static_cast<double>(count_))));
  int64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) {
      return std::min(max_, absl::Nanoseconds(static_cast<int64_t>(HighestIn(i))));
    }
  }
  return max_;
}

}  // namespace vit
