#include "client/vitctl/load/arrivals.h"

namespace vit {

absl::Duration Arrivals::Next() {
  if (kind_ == Kind::kConstant) {
    // Not a sum of intervals, whose rounding would add up.
    return absl::Seconds(static_cast<double>(count_++) / rate_);
  }
  seconds_ += std::exponential_distribution<double>(rate_)(random_);
  return absl::Seconds(seconds_);
}

}  // namespace vit
