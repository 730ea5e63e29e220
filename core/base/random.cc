#include "core/base/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace vit {

std::array<uint32_t, 4> Philox4x32(uint64_t key, std::array<uint32_t, 4> counter) {
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ k0, static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return counter;
}

// Counter layout: word 0 the position, word 1 the low half of b, word 2 the purpose and b's high 16
// bits, word 3 a.
CounterRandom::CounterRandom(uint64_t seed, RandomPurpose purpose, uint64_t a, uint64_t b)
    : key_(seed),
      counter_{0, static_cast<uint32_t>(b),
               (static_cast<uint32_t>(purpose) << 16) | static_cast<uint32_t>((b >> 32) & 0xFFFF),
               static_cast<uint32_t>(a)},
      block_{} {}

uint32_t CounterRandom::NextUint32() {
  if (used_ == 4) {
    block_ = Philox4x32(key_, counter_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[used_++];
}

uint64_t CounterRandom::NextUint64() {
  const uint64_t high = NextUint32();
  return (high << 32) | NextUint32();
}

double CounterRandom::Uniform() { return static_cast<double>(NextUint64() >> 11) * 0x1.0p-53; }

uint64_t CounterRandom::UniformInt(uint64_t n) {
  // Values below 2^64 mod n would make the first residues more likely than the others.
  const uint64_t threshold = (0 - n) % n;
  uint64_t x;
  do {
    x = NextUint64();
  } while (x < threshold);
  return x % n;
}

double CounterRandom::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  return radius * std::cos(2 * std::numbers::pi * Uniform());
}

double CounterRandom::Gamma(double shape) {
  if (shape == 1) return -std::log(1 - Uniform());
  if (shape < 1) {  // from the next higher shape
    const double x = Gamma(shape + 1);
    return x * std::pow(1 - Uniform(), 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = Normal();
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(1 - Uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

double CounterRandom::Beta(double a, double b) {
  const double x = Gamma(a);
  const double y = Gamma(b);
  if (x + y > 0) return x / (x + y);
  return Bernoulli(a / (a + b)) ? 1 : 0;  // both too small for a double
}

std::vector<int64_t> ShuffledIndices(uint64_t seed, int64_t epoch, int64_t n) {
  std::vector<int64_t> indices(n);
  std::iota(indices.begin(), indices.end(), 0);
  CounterRandom random(seed, RandomPurpose::kShuffle, epoch, 0);
  for (int64_t i = n - 1; i > 0; --i) std::swap(indices[i], indices[random.UniformInt(i + 1)]);
  return indices;
}

}  // namespace vit
