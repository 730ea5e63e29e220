#include "core/train/preview.h"

#include <gtest/gtest.h>

#include "core/data/image/image.h"
#include "core/data/loader/loader.h"
#include "core/train/plan_run.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

class PreviewTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ParseMessageText(R"(
      data { source: "shapes:" shapes { train_size: 64 } train { horizontal_flip: 0 } }
      batch_size: 8 max_steps: 16 seed: 3)",
                                 &spec_)
                    .ok());
  }
  // The sheet of update `step`: 6 images in rows of 4.
  Image Sheet(int64_t step) {
    resolved_ = *PlanRun("shapes_demo", spec_, {});
    const auto png = PreviewTraining(resolved_, step, 6, 4);
    EXPECT_TRUE(png.ok()) << png.status();
    auto image = DecodeImage(*png, {});
    EXPECT_TRUE(image.ok()) << image.status();
    return *std::move(image);
  }
  vit::v1::TrainingSpec spec_;
  ResolvedSpec resolved_;
};

TEST_F(PreviewTest, ShowsThePixelsOfTheUpdateEnlarged) {
  const Image sheet = Sheet(9);
  constexpr int kSide = 32, kFactor = 4, kGap = 6;
  EXPECT_EQ(sheet.width, kGap + 4 * (kSide * kFactor + kGap));
  SampleReader reader(resolved_.data, resolved_.spec.data(), kSide, nullptr);
  TrainLoader loader(&reader, {.seed = 3, .batch_size = 8, .first_step = 9});
  const Batch batch = *loader.Next({});
  const uint8_t* const second = &batch.images[3 * kSide * kSide];
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const int at_x = kGap + kSide * kFactor + kGap + x * kFactor + 1,
                at_y = kGap + y * kFactor + 2;
      for (int c = 0; c < 3; ++c) {
        ASSERT_EQ(sheet.rgb[3 * (at_y * sheet.width + at_x) + c],
                  second[c * kSide * kSide + y * kSide + x]);
      }
    }
  }
}

TEST_F(PreviewTest, NeedsNoWeightsForARecipeThatStartsFromSome) {
  vit::v1::PreviewDataRequest request;
  request.set_preset("cifar10_vit_b16_adam");
  request.mutable_spec()->mutable_data()->set_source("shapes:");
  request.mutable_spec()->mutable_data()->mutable_shapes()->set_train_size(64);
  request.mutable_spec()->mutable_model()->set_image_size(32);
  request.mutable_spec()->set_batch_size(4);
  request.set_count(2);
  const auto response = PreviewData(request, {});
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->png().empty());
  request.set_count(5);
  EXPECT_EQ(PreviewData(request, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(PreviewTest, MixesAreShownWithTwoLabels) {
  const Image plain = Sheet(0);
  spec_.mutable_mixing()->set_mixup_alpha(0.8);
  const Image mixed = Sheet(0);
  EXPECT_GT(mixed.height, plain.height);  // a second line of captions
  EXPECT_FALSE(mixed.rgb == plain.rgb);
}

}  // namespace
}  // namespace vit
