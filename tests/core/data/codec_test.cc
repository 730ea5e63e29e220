// Compares the codecs with OpenCV's, which they replaced: the same pixels.
#include <gtest/gtest.h>

#include <opencv2/imgcodecs.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/data/image/image.h"
#include "core/data/image/jpeg.h"
#include "core/data/image/png.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * i);
  return text;
}

std::string RandomBytes(std::mt19937* random, size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>((*random)());
  return bytes;
}

// Decodes with OpenCV to red, green and blue; empty if it fails.
std::vector<uint8_t> DecodedByOpenCv(const std::string& bytes) {
  const cv::Mat bgr = cv::imdecode(std::vector<uint8_t>(bytes.begin(), bytes.end()),
                                   cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  std::vector<uint8_t> rgb;
  for (int y = 0; y < bgr.rows; ++y) {
    for (int x = 0; x < bgr.cols; ++x) {
      const auto& pixel = bgr.at<cv::Vec3b>(y, x);
      rgb.insert(rgb.end(), {pixel[2], pixel[1], pixel[0]});
    }
  }
  return rgb;
}

void ExpectSame(const std::string& bytes) {
  const auto image = DecodeImage(bytes, {});
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->rgb, DecodedByOpenCv(bytes));
}

TEST(CodecTest, PngAndWebpOfEveryKindThatOpenCvWrites) {
  cv::RNG random(1);
  for (const int type : {CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC1, CV_16UC3, CV_16UC4}) {
    for (const auto& [width, height] : {std::pair{1, 1}, {7, 5}, {64, 33}}) {
      cv::Mat mat(height, width, type);
      random.fill(mat, cv::RNG::UNIFORM, 0, CV_MAT_DEPTH(type) == CV_8U ? 256 : 65536);
      const auto encoded = [&](const char* extension, const std::vector<int>& parameters) {
        std::vector<uint8_t> bytes;
        EXPECT_TRUE(cv::imencode(extension, mat, bytes, parameters));
        return std::string(bytes.begin(), bytes.end());
      };
      SCOPED_TRACE(absl::StrCat("type ", type, ", ", width, " x ", height));
      ExpectSame(encoded(".png", {}));
      if (type == CV_8UC1) ExpectSame(encoded(".png", {cv::IMWRITE_PNG_BILEVEL, 1}));
      if (CV_MAT_DEPTH(type) != CV_8U) continue;
      ExpectSame(encoded(".bmp", {}));
      for (const int quality : {30, 90, 101}) {  // above 100: lossless
        ExpectSame(encoded(".webp", {cv::IMWRITE_WEBP_QUALITY, quality}));
      }
    }
  }
}

struct Bitmap {
  int width, height, bits;
  uint32_t compression = 0;
  std::string masks;
  int colors = 0;  // in the header
  bool core = false;
};

std::string BmpFile(const Bitmap& b, const std::string& palette, const std::string& pixels) {
  const std::string info =
      b.core ? Little(12, 4) + Little(b.width, 2) + Little(b.height, 2) + Little(1, 2) +
                   Little(b.bits, 2)
             : Little(40, 4) + Little(b.width, 4) + Little(static_cast<uint32_t>(b.height), 4) +
                   Little(1, 2) + Little(b.bits, 2) + Little(b.compression, 4) +
                   Little(pixels.size(), 4) + Little(0, 8) + Little(b.colors, 4) + Little(0, 4);
  const std::string head = info + b.masks + palette;
  return "BM" + Little(14 + head.size() + pixels.size(), 4) + Little(0, 4) +
         Little(14 + head.size(), 4) + head + pixels;
}

TEST(CodecTest, BitmapsWithoutRuns) {
  std::mt19937 random(2);
  const std::string masks555 = Little(0x7c00, 4) + Little(0x3e0, 4) + Little(0x1f, 4);
  const std::string masks565 = Little(0xf800, 4) + Little(0x7e0, 4) + Little(0x1f, 4);
  const std::string masks888 = Little(0xff0000, 4) + Little(0xff00, 4) + Little(0xff, 4);
  for (const int width : {1, 3, 8, 17}) {
    for (const int height : {1, 6, -6}) {
      for (const Bitmap& kind : {Bitmap{.bits = 1},
                                 {.bits = 4},
                                 {.bits = 4, .colors = 5},
                                 {.bits = 8},
                                 {.bits = 8, .colors = 77},
                                 {.bits = 16},
                                 {.bits = 24},
                                 {.bits = 32},
                                 {.bits = 16, .compression = 3, .masks = masks555},
                                 {.bits = 16, .compression = 3, .masks = masks565},
                                 {.bits = 32, .compression = 3, .masks = masks888},
                                 {.bits = 1, .core = true},
                                 {.bits = 4, .core = true},
                                 {.bits = 8, .core = true},
                                 {.bits = 24, .core = true}}) {
        if (kind.core && height < 0) continue;
        Bitmap b = kind;
        b.width = width;
        b.height = height;
        const int colors = b.bits > 8 ? 0 : b.colors > 0 ? b.colors : 1 << b.bits;
        const std::string palette = RandomBytes(&random, colors * (b.core ? 3 : 4));
        const std::string pixels =
            RandomBytes(&random, (b.bits * width + 31) / 32 * 4 * std::abs(height));
        SCOPED_TRACE(absl::StrCat(width, " x ", height, ", ", b.bits, " bits, compression ",
                                  b.compression, b.core ? ", core header" : ""));
        ExpectSame(BmpFile(b, palette, pixels));
      }
    }
  }
}

// Runs of one colour and of many, each row ended, as writers make them.
TEST(CodecTest, BitmapsOfRuns) {
  std::mt19937 random(3);
  for (const int bits : {4, 8}) {
    for (int round = 0; round < 50; ++round) {
      const int width = 1 + static_cast<int>(random() % 40), height = 1 + round % 5;
      std::string runs;
      for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width;) {
          const int count = 1 + static_cast<int>(random() % (width - x));
          if (count > 2 && random() % 2 == 0) {
            const int size = bits == 4 ? (count + 1) / 2 : count;
            runs += Little(0, 1) + Little(count, 1) + RandomBytes(&random, size + size % 2);
          } else {
            runs += Little(count, 1) + RandomBytes(&random, 1);
          }
          x += count;
        }
        if (y + 1 < height) runs += Little(0, 2);
      }
      runs += Little(0x100, 2);
      SCOPED_TRACE(absl::StrCat(bits, " bits, round ", round));
      ExpectSame(BmpFile(
          {.width = width, .height = height, .bits = bits, .compression = bits == 8 ? 1u : 2u},
          RandomBytes(&random, 4 << bits), runs));
    }
  }
}

TEST(CodecTest, AStepInRunsShowsTheFirstColour) {
  std::string palette;
  for (int i = 0; i < 256; ++i) palette += Little(i * 0x010101, 4);
  // One pixel of 9, a step of one to the right and one row up, one pixel of 7, the end.
  const std::string runs = Little(0x0901, 2) + Little(0x0200, 2) + Little(0x0101, 2) +
                           Little(0x0701, 2) + Little(0x0100, 2);
  const auto image = DecodeImage(
      BmpFile({.width = 4, .height = 2, .bits = 8, .compression = 1}, palette, runs), {});
  ASSERT_TRUE(image.ok()) << image.status();
  std::vector<uint8_t> values;
  for (size_t i = 0; i < image->rgb.size(); i += 3) values.push_back(image->rgb[i]);
  EXPECT_EQ(values, (std::vector<uint8_t>{0, 0, 7, 0, 9, 0, 0, 0}));
}

TEST(CodecTest, RunsThatLeaveTheImageOrEndEarlyAreErrors) {
  const std::string palette(1024, 'x');
  const auto error = [&](const std::string& runs) {
    return std::string(
        DecodeImage(BmpFile({.width = 4, .height = 2, .bits = 8, .compression = 1}, palette, runs),
                    {})
            .status()
            .message());
  };
  EXPECT_EQ(error(Little(0x0105, 2)), "BMP: the data is damaged (a run leaves the image)");
  EXPECT_EQ(error(Little(0x0200, 2) + Little(0x0300, 2)),
            "BMP: the data is damaged (a run leaves the image)");
  EXPECT_NE(error(Little(0x0104, 2)).find("truncated"), std::string::npos);
  EXPECT_NE(error(Little(0x0400, 2) + "ab").find("truncated"), std::string::npos);
  EXPECT_EQ(error(Little(0x0104, 2) + Little(0, 2) + Little(0x0104, 2)), "");  // no end mark
}

TEST(CodecTest, JpegsAreWrittenAsBefore) {
  const Image image = SmoothImage(61, 47);
  cv::Mat bgr(image.height, image.width, CV_8UC3);
  for (int i = 0; i < image.width * image.height; ++i) {
    bgr.at<cv::Vec3b>(i) = {image.rgb[3 * i + 2], image.rgb[3 * i + 1], image.rgb[3 * i]};
  }
  for (const int quality : {10, 85, 100}) {
    std::vector<uint8_t> expected;
    ASSERT_TRUE(cv::imencode(".jpg", bgr, expected, {cv::IMWRITE_JPEG_QUALITY, quality}));
    EXPECT_EQ(*EncodeJpeg(image, quality), std::string(expected.begin(), expected.end()));
  }
  EXPECT_EQ(EncodeJpeg({70000, 1, std::vector<uint8_t>(210000)}, 90).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(CodecTest, PngsComeBackAsTheyWere) {
  const Image image = SmoothImage(31, 17);
  const auto rgb = EncodePng(image.rgb.data(), 31, 17, ChannelOrder::kRgb);
  ASSERT_TRUE(rgb.ok()) << rgb.status();
  EXPECT_EQ(DecodeImage(*rgb, {})->rgb, image.rgb);
  std::vector<uint8_t> bgr = image.rgb;
  for (size_t i = 0; i < bgr.size(); i += 3) std::swap(bgr[i], bgr[i + 2]);
  EXPECT_EQ(DecodeImage(*EncodePng(bgr.data(), 31, 17, ChannelOrder::kBgr), {})->rgb, image.rgb);
}

}  // namespace
}  // namespace vit
