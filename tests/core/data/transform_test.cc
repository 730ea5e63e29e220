#include "core/data/image/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using vit::v1::INTERPOLATION_BICUBIC;
using vit::v1::INTERPOLATION_BILINEAR;

const fs::path kReference = fs::path(VIT_SOURCE_DIR) / "tests/data/resample";

// Converts [3, side, side] to an image.
Image FromPlanes(const std::vector<uint8_t>& planes, int side) {
  Image image{side, side, std::vector<uint8_t>(planes.size())};
  const size_t plane = size_t{1} * side * side;
  for (size_t i = 0; i < plane; ++i) {
    for (size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] = planes[c * plane + i];
  }
  return image;
}

vit::v1::Interpolation ParseInterpolation(const std::string& name) {
  return name == "bilinear" ? INTERPOLATION_BILINEAR : INTERPOLATION_BICUBIC;
}

TEST(ResizeTest, EqualsPillowByteForByte) {
  const Image source = ReadPpm(kReference / "source.ppm");
  std::ifstream cases(kReference / "cases.txt");
  int resizes = 0;
  int evaluations = 0;
  for (std::string line; std::getline(cases, line);) {
    SCOPED_TRACE(line);
    std::istringstream fields(line);
    std::string name, kind;
    fields >> name >> kind;
    const Image expected = ReadPpm(kReference / (name + ".ppm"));
    if (kind == "eval") {
      std::string interpolation;
      int image_size = 0;
      double crop_pct = 0;
      fields >> interpolation >> image_size >> crop_pct;
      std::vector<uint8_t> planes(size_t{3} * image_size * image_size);
      EvalTransformImage(source, image_size, Crop(crop_pct), ParseInterpolation(interpolation),
                         absl::MakeSpan(planes));
      EXPECT_EQ(MaxDifference(FromPlanes(planes, image_size), expected), 0);
      ++evaluations;
    } else {
      int width = 0, height = 0;
      Box box;
      fields >> width >> height >> box.left >> box.top >> box.right >> box.bottom;
      EXPECT_EQ(
          MaxDifference(Resize(source, width, height, ParseInterpolation(kind), box), expected), 0);
      ++resizes;
    }
    ASSERT_FALSE(fields.fail());
  }
  EXPECT_EQ(resizes, 24);
  EXPECT_EQ(evaluations, 10);
}

TEST(ResizeTest, OfTheSameSizeIsACopy) {
  const Image source = SmoothImage(9, 5);
  EXPECT_EQ(MaxDifference(Resize(source, 9, 5, INTERPOLATION_BICUBIC), source), 0);
}

TEST(EvalTransformTest, OfAImageOfTheModelsSizeWithoutCropIsACopy) {
  const Image source = SmoothImage(16, 16);
  std::vector<uint8_t> planes(3 * 16 * 16);
  EvalTransformImage(source, 16, Crop(1.0), INTERPOLATION_BICUBIC, absl::MakeSpan(planes));
  EXPECT_EQ(MaxDifference(FromPlanes(planes, 16), source), 0);
}

TEST(EvalTransformTest, SquashingShowsTheWholeImage) {
  const Image source = SmoothImage(60, 25);
  vit::v1::EvalTransform transform = Crop(1.0);
  transform.set_crop_mode(vit::v1::CROP_MODE_SQUASH);
  std::vector<uint8_t> planes(3 * 16 * 16);
  EvalTransformImage(source, 16, transform, INTERPOLATION_BICUBIC, absl::MakeSpan(planes));
  EXPECT_EQ(MaxDifference(FromPlanes(planes, 16), Resize(source, 16, 16, INTERPOLATION_BICUBIC)),
            0);
  // With a crop_pct, the middle of 20 x 20.
  transform.set_crop_pct(0.8);
  EvalTransformImage(source, 16, transform, INTERPOLATION_BICUBIC, absl::MakeSpan(planes));
  const Image larger = Resize(source, 20, 20, INTERPOLATION_BICUBIC);
  EXPECT_EQ(planes[0], larger.rgb[3 * (2 * 20 + 2)]);
}

TEST(EvalTransformTest, TakesExtremeAspectRatios) {
  for (const auto& [width, height] : {std::pair{1, 5000}, {5000, 1}, {1, 1}, {3, 2}}) {
    const Image source = SmoothImage(width, height);
    std::vector<uint8_t> planes(3 * 32 * 32);
    EvalTransformImage(source, 32, Crop(0.875), INTERPOLATION_BICUBIC, absl::MakeSpan(planes));
    // The middle of the image, which is about 120 in red or green.
    EXPECT_GT(planes[16 * 32 + 16], 10);
  }
}

class TrainTransformTest : public ::testing::Test {
 protected:
  TrainTransformTest() {
    auto* train = config_.mutable_train();
    train->set_crop(vit::v1::TRAIN_CROP_RANDOM_RESIZED);
    train->set_padding(4);
    train->set_scale_min(0.08);
    train->set_scale_max(1);
    train->set_ratio_min(0.75);
    train->set_ratio_max(4.0 / 3);
    train->set_horizontal_flip(0);
    config_.mutable_eval()->set_crop_pct(1);
    config_.set_interpolation(INTERPOLATION_BICUBIC);
  }

  Image Transform(const Image& source, int side, int64_t sample) {
    std::vector<uint8_t> planes(size_t{3} * side * side);
    CounterRandom random(7, RandomPurpose::kAugment, 0, sample);
    TrainTransformImage(source, side, config_, Augmenter(config_), &random, absl::MakeSpan(planes));
    return FromPlanes(planes, side);
  }

  vit::v1::DataConfig config_;
};

TEST_F(TrainTransformTest, FlipMirrorsLeftToRight) {
  const Image source = SmoothImage(12, 12);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_CENTER);
  EXPECT_EQ(MaxDifference(Transform(source, 12, 0), source), 0);
  config_.mutable_train()->set_horizontal_flip(1);
  const Image flipped = Transform(source, 12, 0);
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 12; ++x) {
      for (int c = 0; c < 3; ++c) {
        ASSERT_EQ(flipped.rgb[3 * (12 * y + x) + c], source.rgb[3 * (12 * y + 11 - x) + c]);
      }
    }
  }
}

TEST_F(TrainTransformTest, VerticalFlipMirrorsTopToBottom) {
  for (const int side : {12, 13}) {
    const Image source = SmoothImage(side, side);
    config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_CENTER);
    config_.mutable_train()->set_vertical_flip(1);
    const Image flipped = Transform(source, side, 0);
    const size_t row = size_t{3} * side;
    for (int y = 0; y < side; ++y) {
      EXPECT_TRUE(std::equal(flipped.rgb.begin() + y * row, flipped.rgb.begin() + (y + 1) * row,
                             source.rgb.begin() + (side - 1 - y) * row));
    }
  }
}

TEST_F(TrainTransformTest, StepsThatAreOffDrawNoNumbers) {
  const Image source = SmoothImage(12, 12);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_CENTER);
  std::vector<uint8_t> planes(size_t{3} * 12 * 12);
  CounterRandom random(7, RandomPurpose::kAugment, 0, 0);
  TrainTransformImage(source, 12, config_, Augmenter(config_), &random, absl::MakeSpan(planes));
  CounterRandom flip_only(7, RandomPurpose::kAugment, 0, 0);
  flip_only.Bernoulli(0.5);
  EXPECT_EQ(random.NextUint64(), flip_only.NextUint64());
}

TEST_F(TrainTransformTest, TrainingInterpolatesAsAskedAtTheSamePlace) {
  const Image source = SmoothImage(40, 40);
  const Image bicubic = Transform(source, 16, 0);
  config_.mutable_train()->set_interpolation(INTERPOLATION_BILINEAR);
  const Image bilinear = Transform(source, 16, 0);
  config_.set_interpolation(INTERPOLATION_BILINEAR);
  config_.mutable_train()->set_interpolation(INTERPOLATION_BICUBIC);
  EXPECT_EQ(MaxDifference(Transform(source, 16, 0), bicubic), 0);
  const int difference = MaxDifference(bicubic, bilinear);
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 40);  // interpolated differently, but the same crop
}

TEST_F(TrainTransformTest, RandomInterpolationTakesEachHalfOfTheTime) {
  // Enlarged without a crop: one of two images.
  const Image source = SmoothImage(8, 8);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_CENTER);
  const Image bicubic = Transform(source, 16, 0);
  config_.mutable_train()->set_interpolation(vit::v1::INTERPOLATION_RANDOM);
  int count = 0;
  for (int64_t sample = 0; sample < 400; ++sample) {
    count += MaxDifference(Transform(source, 16, sample), bicubic) == 0;
  }
  EXPECT_NEAR(count, 200, 40);
}

TEST_F(TrainTransformTest, AugmentsAfterTheCrop) {
  config_.mutable_train()->set_grayscale(1);
  const Image result = Transform(SmoothImage(30, 20), 12, 0);
  for (size_t i = 0; i < result.rgb.size(); i += 3) {
    ASSERT_EQ(result.rgb[i], result.rgb[i + 1]);
    ASSERT_EQ(result.rgb[i], result.rgb[i + 2]);
  }
}

TEST_F(TrainTransformTest, FlipsAboutAsOftenAsAsked) {
  const Image source = SmoothImage(8, 8);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_CENTER);
  config_.mutable_train()->set_horizontal_flip(0.25);
  int flips = 0;
  for (int i = 0; i < 1000; ++i) flips += MaxDifference(Transform(source, 8, i), source) != 0;
  EXPECT_NEAR(flips, 250, 60);
}

// A random crop is the padded image from one of (2 * padding + 1)^2 places, and each place comes
// up.
TEST_F(TrainTransformTest, RandomCropCutsThePaddedImageAtEveryPlace) {
  constexpr int kSide = 8, kPadding = 2, kPlaces = 2 * kPadding + 1;
  const Image source = SmoothImage(kSide, kSide);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM);
  config_.mutable_train()->set_padding(kPadding);
  std::vector<int> seen(kPlaces * kPlaces);
  for (int sample = 0; sample < 600; ++sample) {
    const Image crop = Transform(source, kSide, sample);
    int matches = 0;
    for (int place = 0; place < kPlaces * kPlaces; ++place) {
      Image expected{kSide, kSide, std::vector<uint8_t>(source.rgb.size())};
      for (int y = 0; y < kSide; ++y) {
        for (int x = 0; x < kSide; ++x) {
          const int from_y = y + place / kPlaces - kPadding;
          const int from_x = x + place % kPlaces - kPadding;
          if (from_y < 0 || from_y >= kSide || from_x < 0 || from_x >= kSide) continue;
          std::copy_n(&source.rgb[3 * (kSide * from_y + from_x)], 3,
                      &expected.rgb[3 * (kSide * y + x)]);
        }
      }
      if (MaxDifference(crop, expected) == 0) {
        ++seen[place];
        ++matches;
      }
    }
    ASSERT_EQ(matches, 1);
  }
  EXPECT_THAT(seen, ::testing::Each(::testing::Gt(0)));
}

TEST_F(TrainTransformTest, RandomCropResizesTheShortSideAndMovesAlongTheLongOne) {
  const Image source = SmoothImage(64, 32);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM);
  config_.mutable_train()->set_padding(0);
  int leftmost = 255, rightmost = 0;
  for (int sample = 0; sample < 100; ++sample) {
    const Image crop = Transform(source, 16, sample);
    leftmost = std::min<int>(leftmost, crop.rgb[0]);
    rightmost = std::max<int>(rightmost, crop.rgb[3 * 15]);
  }
  EXPECT_LT(leftmost, 40);
  EXPECT_GT(rightmost, 200);
}

TEST_F(TrainTransformTest, PaddingLargerThanTheImageMayLeaveNothingOfIt) {
  const Image source = SmoothImage(4, 4);
  config_.mutable_train()->set_crop(vit::v1::TRAIN_CROP_RANDOM);
  config_.mutable_train()->set_padding(20);
  int black = 0;
  for (int sample = 0; sample < 100; ++sample) {
    const Image crop = Transform(source, 4, sample);
    black += std::all_of(crop.rgb.begin(), crop.rgb.end(), [](uint8_t v) { return v == 0; });
  }
  EXPECT_GT(black, 50);
  EXPECT_LT(black, 100);
}

// Red runs from left to right and green from top to bottom: the crop's area can be read off its
// corners.
TEST_F(TrainTransformTest, RandomResizedCropKeepsAreaAndRatioInTheirBounds) {
  const Image source = SmoothImage(200, 200);
  config_.mutable_train()->set_scale_min(0.25);
  config_.mutable_train()->set_scale_max(0.5);
  double least = 1, most = 0;
  for (int sample = 0; sample < 300; ++sample) {
    const Image crop = Transform(source, 20, sample);
    const size_t last = crop.rgb.size() - 3;
    // 19 of 20 pixels lie between the corner pixels' centres.
    const double width = (crop.rgb[last] - crop.rgb[0]) / 200.0 * 20 / 19;
    const double height = (crop.rgb[last + 1] - crop.rgb[1]) / 200.0 * 20 / 19;
    EXPECT_GT(width / height, 0.75 * 0.94);
    EXPECT_LT(width / height, 4.0 / 3 * 1.06);
    least = std::min(least, width * height);
    most = std::max(most, width * height);
  }
  EXPECT_NEAR(least, 0.25, 0.02);
  EXPECT_NEAR(most, 0.5, 0.02);
}

TEST_F(TrainTransformTest, RandomResizedCropOfAStripFallsBackToItsCentre) {
  // No crop of half of a 1000 x 10 strip has a ratio of at most 4/3.
  const Image source = SmoothImage(1000, 10);
  config_.mutable_train()->set_scale_min(0.5);
  const Image first = Transform(source, 10, 0);
  EXPECT_EQ(MaxDifference(first, Transform(source, 10, 1)), 0);
  EXPECT_NEAR(first.rgb[3 * 5], 120, 3);
}

TEST_F(TrainTransformTest, DependsOnTheCounterAlone) {
  const Image source = SmoothImage(50, 40);
  config_.mutable_train()->set_horizontal_flip(0.5);
  const Image once = Transform(source, 16, 3);
  Transform(source, 16, 4);
  EXPECT_EQ(MaxDifference(once, Transform(source, 16, 3)), 0);
  EXPECT_NE(MaxDifference(once, Transform(source, 16, 5)), 0);
}

}  // namespace
}  // namespace vit
