// When an open loop sends its requests.
#ifndef VIT_CLIENT_VITCTL_LOAD_ARRIVALS_H_
#define VIT_CLIENT_VITCTL_LOAD_ARRIVALS_H_

#include <cstdint>
#include <random>

#include "absl/time/time.h"

namespace vit {

// Moments at a mean of `rate` a second: evenly spaced, or at the random intervals of a Poisson
// process, which is how the requests of many independent users come. Equal seeds, equal moments.
class Arrivals {
 public:
  enum class Kind { kPoisson, kConstant };

  // `rate` > 0.
  Arrivals(Kind kind, double rate, uint64_t seed) : kind_(kind), rate_(rate), random_(seed) {}

  // Returns the next moment, from the start.
  absl::Duration Next();

 private:
  const Kind kind_;
  const double rate_;
  std::mt19937_64 random_;
  int64_t count_ = 0;
  double seconds_ = 0;
};

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_ARRIVALS_H_
