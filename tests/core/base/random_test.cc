#include "core/base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vit {
namespace {

TEST(PhiloxTest, GivesThePublishedValues) {
  // Known answers of Random123's kat_vectors for philox4x32-10.
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox4x32(0, {0, 0, 0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32(0xffffffffffffffff, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(CounterRandomTest, AStreamIsAFunctionOfItsKey) {
  CounterRandom a(1, RandomPurpose::kAugment, 2, 3), b(1, RandomPurpose::kAugment, 2, 3);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(a.NextUint64(), b.NextUint64());
}

TEST(CounterRandomTest, EveryPartOfTheKeyCounts) {
  const auto first = [](uint64_t seed, RandomPurpose purpose, uint64_t a, uint64_t b) {
    return CounterRandom(seed, purpose, a, b).NextUint64();
  };
  const uint64_t base = first(1, RandomPurpose::kAugment, 2, 3);
  EXPECT_NE(base, first(2, RandomPurpose::kAugment, 2, 3));
  EXPECT_NE(base, first(1, RandomPurpose::kShuffle, 2, 3));
  EXPECT_NE(base, first(1, RandomPurpose::kAugment, 3, 3));
  EXPECT_NE(base, first(1, RandomPurpose::kAugment, 2, 4));
  EXPECT_NE(base, first(1, RandomPurpose::kAugment, 2, 3 + (uint64_t{1} << 32)));
}

TEST(CounterRandomTest, UniformAndNormalHaveTheirMoments) {
  CounterRandom random(9, RandomPurpose::kInit, 0, 0);
  double sum = 0, squares = 0, uniform = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const double normal = random.Normal();
    sum += normal;
    squares += normal * normal;
    const double u = random.Uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    uniform += u;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
  EXPECT_NEAR(uniform / kCount, 0.5, 0.005);
}

TEST(CounterRandomTest, IntegersCoverTheirRangeEvenly) {
  CounterRandom random(3, RandomPurpose::kAugment, 0, 0);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts[random.UniformInt(6)];
  for (int count : counts) EXPECT_NEAR(count, 10'000, 400);
}

TEST(CounterRandomTest, BetaHasItsMoments) {
  for (const auto& [a, b] : {std::pair{0.2, 0.2}, {0.8, 0.8}, {1.0, 1.0}, {2.5, 0.7}}) {
    CounterRandom random(4, RandomPurpose::kMix, 0, 0);
    double sum = 0, squares = 0;
    constexpr int kCount = 200'000;
    for (int i = 0; i < kCount; ++i) {
      const double x = random.Beta(a, b);
      ASSERT_GE(x, 0);
      ASSERT_LE(x, 1);
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kCount;
    EXPECT_NEAR(mean, a / (a + b), 0.004) << a;
    EXPECT_NEAR(squares / kCount - mean * mean, a * b / ((a + b) * (a + b) * (a + b + 1)), 0.002)
        << a;
  }
}

TEST(ShuffledIndicesTest, IsAPermutationOfItsOwnForEachSeedAndEpoch) {
  std::vector<int64_t> first = ShuffledIndices(5, 0, 1000);
  EXPECT_EQ(first, ShuffledIndices(5, 0, 1000));
  EXPECT_NE(first, ShuffledIndices(5, 1, 1000));
  EXPECT_NE(first, ShuffledIndices(6, 0, 1000));
  std::sort(first.begin(), first.end());
  std::vector<int64_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(first, all);
}

}  // namespace
}  // namespace vit
