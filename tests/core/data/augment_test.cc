#include "core/data/augment/augment.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/data/augment/augment_apply.h"

namespace vit {
namespace {

using augment::LevelContext;
using augment::LeveledOperation;
using augment::Operation;
using augment::Policy;

constexpr int kSide = 16;
constexpr size_t kPlane = kSide * kSide;

// Colours of all kinds, smooth from left to right.
std::vector<uint8_t> TestImage() {
  std::vector<uint8_t> planes(3 * kPlane);
  for (size_t i = 0; i < kPlane; ++i) {
    planes[i] = static_cast<uint8_t>(16 * (i % kSide));
    planes[kPlane + i] = static_cast<uint8_t>(15 * (i / kSide));
    planes[2 * kPlane + i] = static_cast<uint8_t>(200 - 5 * (i % kSide));
  }
  return planes;
}

vit::v1::DataConfig Config(const std::string& train) {
  vit::v1::DataConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "interpolation: INTERPOLATION_BICUBIC mean: [0.2, 0.4, 0.6] train {" + train + "}", &config))
      << train;
  return config;
}

std::vector<uint8_t> Apply(const vit::v1::DataConfig& config, int64_t sample,
                           std::vector<uint8_t> planes) {
  CounterRandom random(3, RandomPurpose::kAugment, 0, sample);
  Augmenter(config).Apply(&random, {planes.data(), kSide, kSide});
  return planes;
}
std::vector<uint8_t> Apply(const std::string& train, int64_t sample,
                           std::vector<uint8_t> planes = TestImage()) {
  return Apply(Config(train), sample, std::move(planes));
}

std::vector<uint8_t> Flat(uint8_t value) { return std::vector<uint8_t>(3 * kPlane, value); }

bool IsGrey(const std::vector<uint8_t>& planes) {
  return std::equal(planes.begin(), planes.begin() + kPlane, planes.begin() + kPlane) &&
         std::equal(planes.begin(), planes.begin() + kPlane, planes.begin() + 2 * kPlane);
}

TEST(AugmenterTest, WithoutStepsDrawsNothingAndChangesNothing) {
  for (const char* train : {"", "auto_augment: 'none' jitter_probability: 1 blur_kernel_size: 3"}) {
    std::vector<uint8_t> planes = TestImage();
    CounterRandom random(3, RandomPurpose::kAugment, 0, 0);
    Augmenter(Config(train)).Apply(&random, {planes.data(), kSide, kSide});
    EXPECT_EQ(planes, TestImage());
    EXPECT_EQ(random.NextUint32(), CounterRandom(3, RandomPurpose::kAugment, 0, 0).NextUint32());
  }
}

TEST(AugmenterTest, IsAFunctionOfItsCounter) {
  for (const char* train :
       {"auto_augment: 'rand-m9-mstd0.5-inc1'", "auto_augment: 'rand-n4-p1-tweights'",
        "auto_augment: 'v0'", "auto_augment: 'original-mstd0.5'", "auto_augment: 'cifar10'",
        "auto_augment: 'imagenet'", "auto_augment: 'svhn'", "auto_augment: 'trivial'",
        "auto_augment: 'augmix-m5-w4-d2'", "auto_augment: 'augmix-b1-a0.3'",
        "auto_augment: '3a' jitter_brightness: 0.3 jitter_probability: 1",
        "interpolation: INTERPOLATION_RANDOM auto_augment: 'rand-m9-n3-p1'",
        "jitter_brightness: 0.4 jitter_contrast: 0.4 jitter_saturation: 0.4 jitter_hue: 0.1 "
        "jitter_probability: 0.8 grayscale: 0.2 gaussian_blur: 0.5 blur_kernel_size: 3 "
        "blur_sigma_min: 0.1 blur_sigma_max: 2 solarize: 0.2 solarize_threshold: 128"}) {
    SCOPED_TRACE(train);
    std::set<std::vector<uint8_t>> results;
    for (int64_t sample = 0; sample < 100; ++sample) {
      const std::vector<uint8_t> result = Apply(train, sample);
      EXPECT_EQ(result, Apply(train, sample));
      results.insert(result);
    }
    EXPECT_GT(results.size(), 20U);
  }
}

TEST(AugmenterTest, StepsHappenAsOftenAsAsked) {
  for (const auto& [train, is_done] :
       {std::pair<const char*, bool (*)(const std::vector<uint8_t>&)>{"grayscale: 0.3", IsGrey},
        {"gaussian_blur: 0.3 blur_kernel_size: 5 blur_sigma_min: 1 blur_sigma_max: 1",
         +[](const std::vector<uint8_t>& planes) { return planes != TestImage(); }},
        {"solarize: 0.3 solarize_threshold: 100",
         +[](const std::vector<uint8_t>& planes) { return planes[15] == 255 - 240; }},
        {"jitter_brightness: 0.5 jitter_probability: 0.3",
         +[](const std::vector<uint8_t>& planes) { return planes != TestImage(); }}}) {
    int count = 0;
    for (int64_t sample = 0; sample < 1000; ++sample) count += is_done(Apply(train, sample));
    EXPECT_NEAR(count, 300, 45) << train;
  }
}

TEST(AugmenterTest, JitterDrawsFactorsFromTheWholeRange) {
  int least = 255;
  int greatest = 0;
  for (int64_t sample = 0; sample < 500; ++sample) {
    const int value = Apply("jitter_brightness: 0.4 jitter_probability: 1", sample, Flat(100))[0];
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
  EXPECT_THAT(least, ::testing::AllOf(::testing::Ge(59), ::testing::Le(62)));
  EXPECT_THAT(greatest, ::testing::AllOf(::testing::Ge(138), ::testing::Le(140)));
}

TEST(AugmenterTest, JitterNeverTurnsFactorsNegative) {
  int black = 0;
  for (int64_t sample = 0; sample < 200; ++sample) {
    const int value = Apply("jitter_brightness: 2 jitter_probability: 1", sample, Flat(100))[0];
    EXPECT_LE(value, 255);
    black += value == 0;
  }
  // From 0 to 3: a negative factor, a quarter of those from -1 to 3, would give black.
  EXPECT_LT(black, 10);
}

TEST(AugmenterTest, JitterRunsInEveryOrder) {
  // Half black, half white. Lower contrast after brightness leaves the two as far from the middle
  // as each other; brightness after it makes both brighter.
  std::vector<uint8_t> planes = Flat(0);
  for (size_t i = 0; i < planes.size(); i += 2) planes[i] = 255;
  int brightness_first = 0;
  int contrast_first = 0;
  for (int64_t sample = 0; sample < 400; ++sample) {
    const std::vector<uint8_t> result =
        Apply("jitter_brightness: 10 jitter_contrast: 1 jitter_probability: 1", sample, planes);
    const int sum = result[0] + result[1];
    brightness_first += result[1] > 3 && sum > 251 && sum < 259;
    contrast_first += sum > 260;
  }
  EXPECT_GT(brightness_first, 50);
  EXPECT_GT(contrast_first, 50);
}

TEST(AugmenterTest, FillsWithTheMeanColourOrForTorchvisionWithBlack) {
  std::map<std::vector<uint8_t>, int> timm_corners;
  std::map<std::vector<uint8_t>, int> torchvision_corners;
  const auto corner = [](const std::vector<uint8_t>& planes) {
    return std::vector<uint8_t>{planes[0], planes[kPlane], planes[2 * kPlane]};
  };
  for (int64_t sample = 0; sample < 300; ++sample) {
    ++timm_corners[corner(Apply("auto_augment: 'rand-m10-n1-p1'", sample, Flat(90)))];
    ++torchvision_corners[corner(Apply("auto_augment: 'trivial'", sample, Flat(90)))];
  }
  EXPECT_GT((timm_corners[{51, 102, 153}]), 20);
  EXPECT_EQ((torchvision_corners[{51, 102, 153}]), 0);
  EXPECT_GT((torchvision_corners[{0, 0, 0}]), 20);
}

TEST(AugmenterTest, ThreeAugmentIsGreyOrBlurredOrSolarised) {
  int grey = 0;
  int solarised = 0;
  std::vector<uint8_t> expected = TestImage();
  augment::Solarize(128, {expected.data(), kSide, kSide});
  for (int64_t sample = 0; sample < 300; ++sample) {
    const std::vector<uint8_t> result = Apply("auto_augment: '3a'", sample);
    grey += IsGrey(result);
    solarised += result == expected;
  }
  EXPECT_NEAR(grey, 100, 30);
  EXPECT_NEAR(solarised, 100, 30);
}

// Operations that leave a trace: on an image of zeros, SolarizeAdd adds up.
template <int kAdd>
constexpr LeveledOperation kAdds = {
    "Add", Operation::kSolarizeAdd,
    +[](double, double, const LevelContext&) -> double { return kAdd; }};
constexpr LeveledOperation kAddsTenLevels = {
    "AddLevel", Operation::kSolarizeAdd,
    +[](double level, double sign, const LevelContext&) { return sign > 0 ? 100 * level : 127; },
    true};

int Trace(const Policy& policy, int64_t sample) {
  std::vector<uint8_t> planes = Flat(0);
  CounterRandom random(3, RandomPurpose::kAugment, 0, sample);
  augment::Scratch scratch;
  ApplyPolicy(policy, {}, &random, {planes.data(), kSide, kSide}, &scratch);
  return planes[0];
}

TEST(PolicyRunTest, WeightedOperationsAreDrawnByWeightAndNeverTwice) {
  Policy policy{.kind = Policy::Kind::kRandAugment,
                .steps = {{&kAdds<1>}, {&kAdds<2>}, {&kAdds<4>}},
                .weights = {0.7, 0.2, 0.1},
                .count = 1};
  std::map<int, int> counts;
  for (int64_t sample = 0; sample < 1000; ++sample) ++counts[Trace(policy, sample)];
  EXPECT_NEAR(counts[1], 700, 50);
  EXPECT_NEAR(counts[2], 200, 45);
  EXPECT_NEAR(counts[4], 100, 35);
  policy.count = 3;
  for (int64_t sample = 0; sample < 100; ++sample) EXPECT_EQ(Trace(policy, sample), 7);
}

TEST(PolicyRunTest, UnweightedOperationsAreDrawnAlikeAndAgain) {
  const Policy policy{
      .kind = Policy::Kind::kRandAugment, .steps = {{&kAdds<1>}, {&kAdds<4>, 0.5}}, .count = 2};
  std::map<int, int> counts;
  for (int64_t sample = 0; sample < 1600; ++sample) ++counts[Trace(policy, sample)];
  // Each draw: 1 (1/2), 4 (1/4), nothing (1/4).
  EXPECT_NEAR(counts[2], 400, 60);
  EXPECT_NEAR(counts[5], 400, 60);
  EXPECT_NEAR(counts[8], 100, 40);
  EXPECT_NEAR(counts[0], 100, 40);
}

TEST(PolicyRunTest, MagnitudesAreDrawnAsAskedAndCut) {
  const auto traces = [](const Policy& policy) {
    std::vector<int> traces;
    for (int64_t sample = 0; sample < 1000; ++sample) {
      if (const int trace = Trace(policy, sample); trace != 127) traces.push_back(trace);
    }
    EXPECT_NEAR(static_cast<double>(traces.size()), 500, 60);  // the others have the other sign
    std::sort(traces.begin(), traces.end());
    return traces;
  };
  Policy policy{.kind = Policy::Kind::kRandAugment, .steps = {{&kAddsTenLevels, 1, 9}}, .count = 1};
  std::vector<int> fixed = traces(policy);
  EXPECT_EQ(fixed.front(), 90);
  EXPECT_EQ(fixed.back(), 90);

  policy.magnitude_std = 0.5;
  std::vector<int> normal = traces(policy);
  EXPECT_NEAR(normal[normal.size() / 2], 90, 1);
  EXPECT_NEAR(normal[normal.size() / 6], 85, 2);  // a standard deviation below
  EXPECT_EQ(normal.back(), 100);                  // cut at 10

  policy.magnitude_uniform = true;
  std::vector<int> uniform = traces(policy);
  EXPECT_LE(uniform.front(), 2);
  EXPECT_NEAR(uniform[uniform.size() / 2], 45, 7);
  EXPECT_GE(uniform.back(), 87);
  EXPECT_LE(uniform.back(), 90);
}

TEST(PolicyRunTest, TrivialAugmentDrawsEveryMagnitudeAndOneOperation) {
  const Policy policy{.kind = Policy::Kind::kTrivial,
                      .steps = {{&kAddsTenLevels}},
                      .magnitude_max = 30,
                      .levels = 30};
  std::set<int> seen;
  for (int64_t sample = 0; sample < 2000; ++sample) seen.insert(Trace(policy, sample));
  EXPECT_EQ(seen.size(), 31U + 1);  // and the other sign
}

TEST(PolicyRunTest, OneSubPolicyRunsInOrder) {
  const Policy policy{.kind = Policy::Kind::kSubPolicies,
                      .sub_policies = {{{&kAdds<1>}, {&kAdds<2>}}, {{&kAdds<8>}, {&kAdds<4>, 0}}}};
  std::map<int, int> counts;
  for (int64_t sample = 0; sample < 1000; ++sample) ++counts[Trace(policy, sample)];
  EXPECT_NEAR(counts[3], 500, 60);
  EXPECT_EQ(counts[3] + counts[8], 1000);
}

TEST(PolicyRunTest, AugMixWeighsItsChainsAndTheImage) {
  for (const bool blended : {false, true}) {
    for (const double alpha : {0.3, 1.0, 4.0}) {
      Policy policy{.kind = Policy::Kind::kAugMix,
                    .steps = {{&kAdds<100>}},
                    .width = 4,
                    .depth = 1,
                    .alpha = alpha,
                    .blended = blended};
      // Every chain is 100 and the image 0: what is left is the chains' part, half on average.
      double sum = 0;
      double squares = 0;
      for (int64_t sample = 0; sample < 2000; ++sample) {
        const double part = Trace(policy, sample) / 100.0;
        ASSERT_LE(part, 1);
        sum += part;
        squares += part * part;
      }
      const double mean = sum / 2000;
      EXPECT_NEAR(mean, 0.49, 0.03) << alpha;
      // A beta distribution's variance.
      EXPECT_NEAR(squares / 2000 - mean * mean, 0.25 / (2 * alpha + 1), 0.015) << alpha;
      // A mixture of the image with itself is the image.
      policy.steps = {{&kAdds<0>}};
      EXPECT_EQ(Trace(policy, 0), 0);
    }
  }
}

}  // namespace
}  // namespace vit
