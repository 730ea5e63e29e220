#include "tests/core/data/testing.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <opencv2/imgcodecs.hpp>

#include "absl/strings/str_cat.h"
#include "core/spec/defaults.h"

namespace vit {
namespace fs = std::filesystem;

TemporaryFolder::TemporaryFolder() {
  std::string pattern = absl::StrCat(::testing::TempDir(), "vit_data_XXXXXX");
  path_ = fs::canonical(mkdtemp(pattern.data()));
}

TemporaryFolder::~TemporaryFolder() { fs::remove_all(path_); }

void TemporaryFolder::Write(const std::string& relative, absl::string_view content) const {
  const fs::path path = path_ / relative;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(content.data(), content.size());
}

Image SmoothImage(int width, int height, int seed) {
  Image image{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      uint8_t* pixel = &image.rgb[3 * (size_t{1} * y * width + x)];
      pixel[0] = static_cast<uint8_t>(200 * x / width + 20);
      pixel[1] = static_cast<uint8_t>(200 * y / height + 20);
      pixel[2] = static_cast<uint8_t>((seed * 37 + 100 * x / width) % 256);
    }
  }
  return image;
}

vit::v1::EvalTransform Crop(double crop_pct) {
  vit::v1::EvalTransform transform;
  transform.set_crop_pct(crop_pct);
  return transform;
}

void FillDefaultsFor(const DataSet& data, int image_size, vit::v1::DataConfig* config) {
  FillDataDefaults({.class_count = static_cast<int>(data.class_names().size()),
                    .native_image_size = data.native_size(),
                    .loader_threads = 1},
                   image_size, config);
}

std::string Encode(const Image& image, const std::string& extension,
                   const std::vector<int>& parameters) {
  cv::Mat bgr(image.height, image.width, CV_8UC3);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const uint8_t* pixel = &image.rgb[3 * (size_t{1} * y * image.width + x)];
      bgr.at<cv::Vec3b>(y, x) = {pixel[2], pixel[1], pixel[0]};
    }
  }
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(cv::imencode(extension, bgr, bytes, parameters));
  return {bytes.begin(), bytes.end()};
}

std::string ExifBlock(int orientation, bool big_endian) {
  std::string block = big_endian ? "MM" : "II";
  const auto append = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      block += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i));
    }
  };
  append(42, 2);
  append(8, 4);  // where the directory starts
  append(2, 2);  // entries
  append(0x0100, 2), append(3, 2), append(1, 4), append(7, 2), append(0, 2);  // width, not used
  append(0x0112, 2), append(3, 2), append(1, 4), append(orientation, 2), append(0, 2);
  append(0, 4);  // no further directory
  return block;
}

std::string WithJpegOrientation(const std::string& jpeg, int orientation, bool big_endian) {
  const std::string content = std::string("Exif\0\0", 6) + ExifBlock(orientation, big_endian);
  const size_t length = content.size() + 2;
  std::string segment = "\xFF\xE1";
  segment += static_cast<char>(length >> 8);
  segment += static_cast<char>(length);
  return jpeg.substr(0, 2) + segment + content + jpeg.substr(2);
}

std::string WithPngOrientation(const std::string& png, int orientation) {
  const std::string content = ExifBlock(orientation, /*big_endian=*/true);
  std::string chunk = "eXIf" + content;
  uint32_t crc = 0xFFFFFFFF;
  for (const char c : chunk) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
  }
  crc = ~crc;
  const auto big_endian = [](uint32_t value) {
    return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                       static_cast<char>(value >> 8), static_cast<char>(value)};
  };
  constexpr size_t kAfterHeader = 8 + 25;
  return png.substr(0, kAfterHeader) + big_endian(static_cast<uint32_t>(content.size())) + chunk +
         big_endian(crc) + png.substr(kAfterHeader);
}

int MaxDifference(const Image& a, const Image& b) {
  if (a.width != b.width || a.height != b.height || a.rgb.size() != b.rgb.size()) return 256;
  int most = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) most = std::max(most, std::abs(a.rgb[i] - b.rgb[i]));
  return most;
}

Image ReadPpm(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  Image image;
  int most = 0;
  file >> magic >> image.width >> image.height >> most;
  file.get();
  EXPECT_EQ(magic, "P6") << path;
  EXPECT_EQ(most, 255) << path;
  image.rgb.resize(size_t{3} * image.width * image.height);
  file.read(reinterpret_cast<char*>(image.rgb.data()), image.rgb.size());
  EXPECT_TRUE(file.good()) << path;
  return image;
}

}  // namespace vit
