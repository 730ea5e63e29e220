#include "core/train/recipe/mixing.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace vit {
namespace {

constexpr int kBatch = 8, kSize = 16;

vit::v1::MixingConfig Config(double mixup, double cutmix, vit::v1::MixMode mode) {
  vit::v1::MixingConfig config;
  config.set_mixup_alpha(mixup);
  config.set_cutmix_alpha(cutmix);
  config.set_probability(1);
  config.set_switch_probability(0.5);
  config.set_mode(mode);
  return config;
}

std::vector<int> AllSlots() {
  std::vector<int> slots(kBatch);
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

std::vector<Mix> Plan(const vit::v1::MixingConfig& config, int64_t step,
                      const std::vector<int>& slots = AllSlots()) {
  return PlanMixing(config, /*seed=*/7, step, slots, kBatch, kSize);
}

bool SameDraw(const Mix& a, const Mix& b) {
  return a.part == b.part && a.cut == b.cut && a.left == b.left && a.top == b.top &&
         a.right == b.right && a.bottom == b.bottom;
}

TEST(MixingTest, ImagesPairFromBothEnds) {
  const auto mixes = Plan(Config(0.8, 1, vit::v1::MIX_MODE_ELEMENT), 3);
  for (int i = 0; i < kBatch; ++i) EXPECT_EQ(mixes[i].partner, kBatch - 1 - i);
}

TEST(MixingTest, TheModeSaysWhichImagesShareADraw) {
  const auto batch = Plan(Config(0.8, 1, vit::v1::MIX_MODE_BATCH), 3);
  const auto pair = Plan(Config(0.8, 1, vit::v1::MIX_MODE_PAIR), 3);
  const auto element = Plan(Config(0.8, 1, vit::v1::MIX_MODE_ELEMENT), 3);
  for (int i = 0; i < kBatch; ++i) {
    EXPECT_TRUE(SameDraw(batch[i], batch[0]));
    EXPECT_TRUE(SameDraw(pair[i], pair[kBatch - 1 - i]));
    EXPECT_FALSE(SameDraw(element[i], element[kBatch - 1 - i]));
  }
  EXPECT_FALSE(SameDraw(pair[0], pair[1]));
}

TEST(MixingTest, ADrawDependsOnSeedStepAndPlaceAlone) {
  const auto config = Config(0.8, 1, vit::v1::MIX_MODE_ELEMENT);
  const auto whole = Plan(config, 3);
  EXPECT_FALSE(SameDraw(whole[0], Plan(config, 4)[0]));
  // Place 2 is unreadable: its partner, place 5, stays as it is, and no other image changes.
  const auto missing = Plan(config, 3, {0, 1, 3, 4, 5, 6, 7});
  EXPECT_EQ(missing[4].partner, 4);
  EXPECT_EQ(missing[4].part, 1);
  EXPECT_TRUE(SameDraw(missing[0], whole[0]));
  EXPECT_EQ(missing[0].partner, 6);
  EXPECT_TRUE(SameDraw(missing[2], whole[3]));
  EXPECT_EQ(missing[2].partner, 3);
}

TEST(MixingTest, ProbabilitiesAreKept) {
  auto config = Config(0.8, 1, vit::v1::MIX_MODE_ELEMENT);
  config.set_probability(0.6);
  config.set_switch_probability(0.25);
  int mixed = 0, cut = 0, all = 0;
  for (int64_t step = 0; step < 4000; ++step) {
    for (const Mix& mix : Plan(config, step)) {
      ++all;
      mixed += mix.cut || mix.part < 1;
      cut += mix.cut;
    }
  }
  EXPECT_NEAR(1.0 * mixed / all, 0.6, 0.01);
  EXPECT_NEAR(1.0 * cut / mixed, 0.25, 0.01);
}

TEST(MixingTest, MixupIsTheFormula) {
  torch::manual_seed(2);
  const auto mixes = Plan(Config(0.8, 0, vit::v1::MIX_MODE_ELEMENT), 0);
  const at::Tensor images = at::randn({kBatch, 3, kSize, kSize});
  const at::Tensor labels = at::arange(kBatch) % 3;
  const at::Tensor mixed = DeviceMixes(mixes, at::kCPU).MixImages(images),
                   parts = DeviceMixes(mixes, at::kCPU).MixLabels(labels, 3);
  for (int i = 0; i < kBatch; ++i) {
    const int j = kBatch - 1 - i;
    const double part = mixes[i].part;
    EXPECT_LT((mixed[i] - (images[i] * part + images[j] * (1 - part))).abs().max().item<double>(),
              1e-6);
    at::Tensor expected = at::zeros({3});
    expected[labels[i].item<int64_t>()] += part;
    expected[labels[j].item<int64_t>()] += 1 - part;
    EXPECT_LT((parts[i] - expected).abs().max().item<double>(), 1e-6);
  }
}

TEST(MixingTest, CutMixIsARectangleOfThePartnerAndItsArea) {
  const at::Tensor images = at::arange(kBatch).view({-1, 1, 1, 1}).expand({-1, 3, kSize, kSize});
  bool clipped = false;
  std::set<int> sides;
  for (int64_t step = 0; step < 50; ++step) {
    const auto mixes = Plan(Config(0, 1, vit::v1::MIX_MODE_ELEMENT), step);
    const at::Tensor mixed = DeviceMixes(mixes, at::kCPU).MixImages(images.to(at::kFloat));
    for (int i = 0; i < kBatch; ++i) {
      const Mix& mix = mixes[i];
      at::Tensor expected = at::full({3, kSize, kSize}, static_cast<float>(i));
      expected.slice(1, mix.top, mix.bottom).slice(2, mix.left, mix.right).fill_(kBatch - 1 - i);
      EXPECT_TRUE(at::equal(mixed[i], expected));
      EXPECT_NEAR(mixed[i].eq(static_cast<float>(i)).to(at::kFloat).mean().item<double>(), mix.part,
                  1e-6);
      clipped |= mix.left == 0 || mix.right == kSize;
      if (mix.left > 0 && mix.right < kSize) sides.insert(mix.right - mix.left);
    }
  }
  EXPECT_TRUE(clipped);
  EXPECT_TRUE(sides.contains(1) && sides.contains(2) && sides.contains(3));  // timm's, odd ones too
}

TEST(MixingTest, BothKindsMeetInOneUpdate) {
  torch::manual_seed(2);
  const at::Tensor images = at::randn({kBatch, 3, kSize, kSize});
  const auto both = Plan(Config(0.8, 1, vit::v1::MIX_MODE_ELEMENT), 1);
  ASSERT_TRUE(std::any_of(both.begin(), both.end(), [](const Mix& m) { return m.cut; }));
  ASSERT_TRUE(std::any_of(both.begin(), both.end(), [](const Mix& m) { return !m.cut; }));
  const at::Tensor mixed = DeviceMixes(both, at::kCPU).MixImages(images);
  for (int i = 0; i < kBatch; ++i) {
    std::vector<Mix> alone(kBatch);
    for (int j = 0; j < kBatch; ++j) alone[j].partner = j;
    alone[i] = both[i];
    EXPECT_TRUE(at::equal(DeviceMixes(alone, at::kCPU).MixImages(images)[i], mixed[i])) << i;
  }
}

}  // namespace
}  // namespace vit
