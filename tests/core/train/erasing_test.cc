#include "core/train/recipe/erasing.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <numeric>

namespace vit {
namespace {

constexpr int kBatch = 16, kSize = 32;

vit::v1::RandomErasing Config(double probability, vit::v1::ErasingFill fill) {
  vit::v1::RandomErasing config;
  config.set_probability(probability);
  config.set_fill(fill);
  config.set_area_min(0.02);
  config.set_area_max(1.0 / 3);
  config.set_ratio_min(0.3);
  config.set_max_count(1);
  return config;
}

std::vector<int> AllSlots() {
  std::vector<int> slots(kBatch);
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

TEST(ErasingTest, RectanglesHaveTheAreasAndShapesAskedFor) {
  const auto config = Config(0.25, vit::v1::ERASING_FILL_ZERO);
  int64_t count = 0;
  double area = 0;
  constexpr int kSteps = 2000;
  for (int64_t step = 0; step < kSteps; ++step) {
    for (const Erasure& e : PlanErasing(config, 3, step, AllSlots(), kSize)) {
      ++count;
      const double height = e.bottom - e.top, width = e.right - e.left;
      area += height * width / kSize / kSize;
      ASSERT_GE(e.left, 0);
      ASSERT_GE(e.top, 0);
      ASSERT_LE(e.right, kSize);
      ASSERT_LE(e.bottom, kSize);
      // Half a pixel of rounding on either side.
      EXPECT_GE((height + 0.5) / (width - 0.5), 0.3);
      EXPECT_LE((height - 0.5) / (width + 0.5), 1 / 0.3);
    }
  }
  EXPECT_NEAR(1.0 * count / (kSteps * kBatch), 0.25, 0.01);
  // A little below the middle of the range, as large flat ones do not fit.
  EXPECT_NEAR(area / static_cast<double>(count), (0.02 + 1.0 / 3) / 2, 0.02);
}

TEST(ErasingTest, SeveralShareTheArea) {
  auto config = Config(1, vit::v1::ERASING_FILL_ZERO);
  config.set_max_count(3);
  std::vector<int> per_image(4);
  for (int64_t step = 0; step < 300; ++step) {
    std::vector<int> counts(kBatch);
    for (const Erasure& e : PlanErasing(config, 3, step, AllSlots(), kSize)) ++counts[e.image];
    for (const int n : counts) ++per_image.at(n);
  }
  for (int n = 1; n <= 3; ++n) EXPECT_NEAR(per_image[n] / (300.0 * kBatch), 1.0 / 3, 0.03) << n;
}

TEST(ErasingTest, AnImageIsErasedTheSameWhicheverOthersAreMissing) {
  const auto config = Config(1, vit::v1::ERASING_FILL_COLOR);
  const auto whole = PlanErasing(config, 3, 5, AllSlots(), kSize);
  const auto rest = PlanErasing(config, 3, 5, {7}, kSize);
  ASSERT_EQ(whole.size(), kBatch);
  ASSERT_EQ(rest.size(), 1);
  EXPECT_EQ(rest[0].left, whole[7].left);
  EXPECT_EQ(rest[0].bottom, whole[7].bottom);
  EXPECT_EQ(rest[0].color, whole[7].color);
}

TEST(ErasingTest, NoiseIsTheSameWhicheverImagesAreMissing) {
  const auto config = Config(1, vit::v1::ERASING_FILL_NOISE);
  const at::Tensor images = at::zeros({kBatch, 3, kSize, kSize});
  const at::Tensor whole =
      EraseImages(images, PlanErasing(config, 3, 5, AllSlots(), kSize), config.fill());
  const at::Tensor rest =
      EraseImages(images.slice(0, 0, 2), PlanErasing(config, 3, 5, {4, 7}, kSize), config.fill());
  EXPECT_TRUE(at::equal(rest[0], whole[4]));
  EXPECT_TRUE(at::equal(rest[1], whole[7]));
  EXPECT_NE(whole[4].sum().item<float>(), whole[7].sum().item<float>());
}

TEST(ErasingTest, FillsWhatIsInsideAndNothingElse) {
  for (const auto fill :
       {vit::v1::ERASING_FILL_ZERO, vit::v1::ERASING_FILL_COLOR, vit::v1::ERASING_FILL_NOISE}) {
    const auto erasures = PlanErasing(Config(1, fill), 3, 5, AllSlots(), kSize);
    const at::Tensor images = at::full({kBatch, 3, kSize, kSize}, 7.0F);
    const at::Tensor erased = EraseImages(images, erasures, fill);
    EXPECT_TRUE(at::equal(images, at::full_like(images, 7)));  // untouched
    EXPECT_TRUE(at::equal(erased, EraseImages(images, erasures, fill)));
    at::Tensor outside = erased.clone();
    for (const Erasure& e : erasures) {
      const at::Tensor inside =
          outside[e.image].slice(1, e.top, e.bottom).slice(2, e.left, e.right);
      EXPECT_TRUE(inside.ne(7).all().item<bool>());
      if (fill == vit::v1::ERASING_FILL_ZERO) {
        EXPECT_TRUE(inside.eq(0).all().item<bool>());
      }
      if (fill == vit::v1::ERASING_FILL_COLOR) {
        for (int c = 0; c < 3; ++c) EXPECT_TRUE(inside[c].eq(e.color[c]).all().item<bool>());
      }
      inside.fill_(7);
    }
    EXPECT_TRUE(at::equal(outside, images));
    if (fill == vit::v1::ERASING_FILL_NOISE) {
      EXPECT_NE(erasures[0].noise_seed,
                PlanErasing(Config(1, fill), 3, 6, {0}, kSize)[0].noise_seed);
      const at::Tensor values = erased.masked_select(erased.ne(7));
      EXPECT_NEAR(values.mean().item<double>(), 0, 0.03);
      EXPECT_NEAR(values.std().item<double>(), 1, 0.03);
    }
  }
}

}  // namespace
}  // namespace vit
