// Compares every operation with Pillow's, torchvision's or timm's of that name; see
// tests/data/make_augment_reference.py.
#include "core/data/augment/augment_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "core/data/augment/augment_blur.h"
#include "core/data/augment/augment_geometry.h"
#include "core/data/image/image.h"

namespace vit::augment {
namespace {
namespace fs = std::filesystem;

const fs::path kReference = fs::path(VIT_SOURCE_DIR) / "tests/data/augment";

Image ReadImage(const std::string& name) {
  std::ifstream file(kReference / (name + ".png"), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  absl::StatusOr<Image> image = DecodeImage(bytes, {});
  EXPECT_TRUE(image.ok()) << name << ": " << image.status();
  return image.ok() ? *std::move(image) : Image{};
}

// Converts [height, width, 3] to [3, height, width].
std::vector<uint8_t> ToPlanes(const uint8_t* rgb, int width, int height) {
  const size_t count = size_t{1} * width * height;
  std::vector<uint8_t> planes(3 * count);
  for (size_t i = 0; i < count; ++i) {
    for (size_t c = 0; c < 3; ++c) planes[c * count + i] = rgb[3 * i + c];
  }
  return planes;
}

Canvas ReadCanvas(std::istream& in) {
  std::string name;
  in >> name;
  Canvas canvas{.fill = {124, 116, 104}};
  if (name == "nearest") canvas.resampling = Resampling::kNearest;
  if (name == "bilinear") canvas.resampling = Resampling::kBilinear;
  if (name == "bicubic") canvas.resampling = Resampling::kBicubic;
  return canvas;
}

double ReadNumber(std::istream& in) {
  double value = 0;
  in >> value;
  return value;
}

// Runs the operation that a line of cases.txt names; false if it is unknown.
bool RunOperation(const std::string& name, std::istream& in, const Planes& image) {
  Scratch scratch;
  if (name == "brightness") return Brightness(ReadNumber(in), image), true;
  if (name == "contrast") return Contrast(ReadNumber(in), image), true;
  if (name == "color") return Color(ReadNumber(in), image), true;
  if (name == "sharpness") return Sharpness(ReadNumber(in), image, &scratch), true;
  if (name == "posterize") return Posterize(static_cast<int>(ReadNumber(in)), image), true;
  if (name == "solarize") return Solarize(ReadNumber(in), image), true;
  if (name == "solarize_add") {
    return SolarizeAdd(static_cast<int>(ReadNumber(in)), 128, image), true;
  }
  if (name == "invert") return Invert(image), true;
  if (name == "autocontrast") return AutoContrast(image), true;
  if (name == "equalize") return Equalize(image), true;
  if (name == "grayscale") return Grayscale(image), true;
  if (name == "flip_down") return FlipDown(image), true;
  if (name == "hue") return Hue(ReadNumber(in), image), true;
  if (name == "pillow_blur") return PillowGaussianBlur(ReadNumber(in), image, &scratch), true;
  if (name == "blur") {
    const int size = static_cast<int>(ReadNumber(in));
    return GaussianBlur(size, ReadNumber(in), image, &scratch), true;
  }
  if (name == "blend") {
    std::vector<uint8_t> other(image.data, image.data + image.size());
    Invert({other.data(), image.width, image.height});
    return BlendInto(other.data(), static_cast<float>(ReadNumber(in)), image), true;
  }
  if (name == "rotate") {
    const Canvas canvas = ReadCanvas(in);
    return Rotate(ReadNumber(in), canvas, image, &scratch), true;
  }
  if (name == "transform") {
    const Canvas canvas = ReadCanvas(in);
    Affine from;
    in >> from.a >> from.b >> from.c >> from.d >> from.e >> from.f;
    return Transform(from, canvas, image, &scratch), true;
  }
  return false;
}

TEST(AugmentOpsTest, EqualPillowsByteForByte) {
  std::map<std::string, Image> images;
  std::map<std::string, Image> results;
  std::map<std::string, int> seen;
  std::ifstream cases(kReference / "cases.txt");
  int count = 0;
  for (std::string line; std::getline(cases, line); ++count) {
    SCOPED_TRACE(line);
    std::istringstream in(line);
    std::string image, operation;
    in >> image >> operation;
    if (images.count(image) == 0) {
      images[image] = ReadImage(image);
      results[image] = ReadImage(image + "_out");
    }
    const Image& source = images[image];
    std::vector<uint8_t> planes = ToPlanes(source.rgb.data(), source.width, source.height);
    ASSERT_TRUE(RunOperation(operation, in, {planes.data(), source.width, source.height}));
    ASSERT_FALSE(in.fail());

    const size_t at = source.rgb.size() * seen[image]++;
    ASSERT_LE(at + source.rgb.size(), results[image].rgb.size());
    const std::vector<uint8_t> expected =
        ToPlanes(&results[image].rgb[at], source.width, source.height);
    int greatest = 0;
    int different = 0;
    for (size_t i = 0; i < planes.size(); ++i) {
      const int difference = std::abs(planes[i] - expected[i]);
      greatest = std::max(greatest, difference);
      different += difference != 0;
    }
    EXPECT_EQ(greatest, 0) << different << " of " << planes.size() << " bytes differ";
  }
  EXPECT_EQ(count, 151);
}

TEST(AugmentOpsTest, ImagesOfOneColourKeepTheirHistogram) {
  for (const int value : {0, 7, 255}) {
    std::vector<uint8_t> planes(3 * 16 * 16, static_cast<uint8_t>(value));
    const std::vector<uint8_t> before = planes;
    Equalize({planes.data(), 16, 16});
    AutoContrast({planes.data(), 16, 16});
    EXPECT_EQ(planes, before);
  }
}

TEST(AugmentOpsTest, TakeImagesOfOnePixel) {
  Scratch scratch;
  std::vector<uint8_t> planes = {10, 20, 30};
  const Planes image = {planes.data(), 1, 1};
  for (const Resampling resampling :
       {Resampling::kNearest, Resampling::kBilinear, Resampling::kBicubic}) {
    Rotate(30, {.resampling = resampling}, image, &scratch);
  }
  GaussianBlur(23, 2, image, &scratch);
  PillowGaussianBlur(2, image, &scratch);
  Sharpness(1.9, image, &scratch);
  Equalize(image);
  EXPECT_EQ(planes, (std::vector<uint8_t>{10, 20, 30}));
}

TEST(AugmentOpsTest, ABlurWiderThanTheImageMirrorsItAgain) {
  // Two columns, mirrored: 0 1 0 1 0; the window's outer weights fall on copies of the middle.
  std::vector<uint8_t> planes(3 * 2 * 2);
  for (size_t i = 1; i < planes.size(); i += 2) planes[i] = 200;
  Scratch scratch;
  GaussianBlur(5, 50, {planes.data(), 2, 2}, &scratch);
  EXPECT_NEAR(planes[0], 80, 1);
  EXPECT_NEAR(planes[1], 120, 1);
}

}  // namespace
}  // namespace vit::augment
