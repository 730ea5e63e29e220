// Random numbers by counter: every value is a function of a key and a position, so that neither
// order nor thread count changes it. Philox4x32-10 of Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3" (SC 2011).
#ifndef VIT_CORE_BASE_RANDOM_H_
#define VIT_CORE_BASE_RANDOM_H_

#include <array>
#include <cstdint>
#include <vector>

namespace vit {

// The Philox4x32-10 block function: 128 random bits for a 64-bit key and a 128-bit counter.
std::array<uint32_t, 4> Philox4x32(uint64_t key, std::array<uint32_t, 4> counter);

// The purpose of a stream of random numbers; streams of different purposes never overlap.
enum class RandomPurpose : uint32_t {
  kShuffle = 1,
  kAugment = 2,
  kModelStep = 3,
  kInit = 4,
  kSplit = 5,
  kShapes = 6,
  kClassLimit = 7,
  kSampler = 8,
  kMix = 9,
  kErase = 10,
};

// A sequence of random numbers that is a function of (seed, purpose, a, b), for instance (seed,
// kAugment, epoch, sample). Cheap to make. Not thread-safe; make one where it is used.
class CounterRandom {
 public:
  // `a` < 2^32, `b` < 2^48.
  CounterRandom(uint64_t seed, RandomPurpose purpose, uint64_t a, uint64_t b);

  uint32_t NextUint32();
  uint64_t NextUint64();
  // In [0, 1), with 53 random bits.
  double Uniform();
  // In [low, high).
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // In [0, n), unbiased. n > 0.
  uint64_t UniformInt(uint64_t n);
  // Standard normal (Box and Muller).
  double Normal();
  bool Bernoulli(double probability) { return Uniform() < probability; }
  // Gamma with `shape` > 0 and scale 1 (Marsaglia and Tsang, "A simple method for generating gamma
  // variables", 2000).
  double Gamma(double shape);
  // Beta(a, b), both > 0: in [0, 1].
  double Beta(double a, double b);

 private:
  uint64_t key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_;
  int used_ = 4;
};

// A permutation of 0..n-1 that is a function of (seed, epoch) (Fisher and Yates).
std::vector<int64_t> ShuffledIndices(uint64_t seed, int64_t epoch, int64_t n);

}  // namespace vit

#endif  // VIT_CORE_BASE_RANDOM_H_
