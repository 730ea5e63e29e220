#include "core/data/image/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/data/image/image_header.h"
// After cstdio, which it needs but does not include.
#include <jpeglib.h>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::Status DecodeError(absl::string_view bytes, const DecodeOptions& options = {}) {
  return DecodeImage(bytes, options).status();
}

// Encodes any OpenCV matrix.
std::string EncodeMat(const cv::Mat& mat, const std::string& extension,
                      const std::vector<int>& parameters = {}) {
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(cv::imencode(extension, mat, bytes, parameters));
  return {bytes.begin(), bytes.end()};
}

std::string Number(uint64_t value, int bytes, bool big_endian) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i));
  }
  return text;
}

// A chunk as PNG has it; its checksum is not right.
std::string PngChunk(const std::string& name, const std::string& content) {
  return Number(content.size(), 4, true) + name + content + std::string(4, '\0');
}

TEST(ImageHeaderTest, NamesFormatAndSize) {
  const Image image = SmoothImage(37, 21);
  for (const auto& [extension, format] : {std::pair{".jpg", ImageFormat::kJpeg},
                                          {".png", ImageFormat::kPng},
                                          {".webp", ImageFormat::kWebp},
                                          {".bmp", ImageFormat::kBmp}}) {
    SCOPED_TRACE(extension);
    const auto header = ReadImageHeader(Encode(image, extension));
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_EQ(header->format, format);
    EXPECT_EQ(header->width, 37);
    EXPECT_EQ(header->height, 21);
    EXPECT_EQ(header->orientation, 1);
  }
}

TEST(ImageHeaderTest, KnowsLosslessAndExtendedWebp) {
  const Image image = SmoothImage(37, 21);
  const std::string lossless = Encode(image, ".webp", {cv::IMWRITE_WEBP_QUALITY, 101});
  ASSERT_EQ(lossless.substr(12, 4), "VP8L");
  EXPECT_EQ(ReadImageHeader(lossless)->width, 37);

  // Around it, an extended file with an orientation.
  const auto extended = [&](int width, int height) {
    const std::string exif = ExifBlock(6, /*big_endian=*/false);
    const std::string body = "WEBPVP8X" + Number(10, 4, false) + Number(0x08, 4, false) +
                             Number(width - 1, 3, false) + Number(height - 1, 3, false) +
                             lossless.substr(12) + "EXIF" + Number(exif.size(), 4, false) + exif;
    return "RIFF" + Number(body.size(), 4, false) + body;
  };
  const auto header = ReadImageHeader(extended(37, 21));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->width, 37);
  EXPECT_EQ(header->height, 21);
  EXPECT_EQ(header->orientation, 6);
  const auto decoded = DecodeImage(extended(37, 21), {});
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->width, 21);
  EXPECT_EQ(decoded->height, 37);

  EXPECT_THAT(std::string(ReadImageHeader(extended(36, 21)).status().message()),
              HasSubstr("the canvas is 36x21 but the image in it 37x21"));
}

TEST(ImageHeaderTest, RefusesWhatIsNoImage) {
  EXPECT_THAT(std::string(DecodeError("").message()), HasSubstr("empty (0 bytes)"));
  for (const absl::string_view text : {"hello, this is text named .jpg", "\xFF\xD8", "P", "RIFF",
                                       "RIFF\x10\0\0\0WAVEfmt ", "GIF is a format"}) {
    const absl::Status status = DecodeError(text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("not a JPEG, PNG, WebP or BMP"));
  }
}

TEST(ImageHeaderTest, NamesTheFormatsThatAreNotRead) {
  for (const auto& [bytes, name] : {
           std::pair{absl::string_view("GIF89a\x01\0\x01\0", 10), "GIF"},
           {absl::string_view("II*\0\x08\0\0\0", 8), "TIFF"},
           {absl::string_view("MM\0*\0\0\0\x08", 8), "TIFF"},
           {absl::string_view("\0\0\0\x18"
                              "ftypmif1\0\0\0\0mif1avif",
                              24),
            "AVIF"},
           {absl::string_view("\0\0\0\x14"
                              "ftypheic\0\0\0\0mif1",
                              20),
            "HEIC"},
           {absl::string_view("\xFF\x0A\0\0", 4), "JPEG XL"},
           {absl::string_view("RIFF\x64\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0", 24), "animated WebP"},
       }) {
    EXPECT_THAT(
        std::string(DecodeError(bytes).message()),
        AllOf(HasSubstr(name), HasSubstr("which is not supported; convert it to JPEG, PNG")));
  }
  // A video in the same container.
  EXPECT_THAT(std::string(DecodeError(absl::string_view("\0\0\0\x14"
                                                        "ftypisom\0\0\0\0mp42",
                                                        20))
                              .message()),
              HasSubstr("not a JPEG, PNG, WebP or BMP image"));
}

TEST(ImageHeaderTest, EveryPrefixOfAHeaderIsAnErrorOrTheSameSize) {
  const Image image = SmoothImage(37, 21);
  for (const char* extension : {".jpg", ".png", ".webp", ".bmp"}) {
    const std::string bytes = Encode(image, extension);
    for (size_t size = 0; size < std::min<size_t>(bytes.size(), 1000); ++size) {
      const auto header = ReadImageHeader(absl::string_view(bytes).substr(0, size));
      if (header.ok()) {
        EXPECT_EQ(header->width, 37);
        EXPECT_EQ(header->height, 21);
      } else {
        EXPECT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
      }
    }
  }
}

TEST(DecodeImageTest, GivesThePixels) {
  const Image image = SmoothImage(64, 48);
  for (const auto& [extension, tolerance] :
       {std::pair{".jpg", 12}, {".png", 0}, {".webp", 12}, {".bmp", 0}}) {
    SCOPED_TRACE(extension);
    const auto decoded = DecodeImage(Encode(image, extension), {});
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_LE(MaxDifference(*decoded, image), tolerance);
  }
}

TEST(DecodeImageTest, TakesProgressiveJpeg) {
  const Image image = SmoothImage(64, 48);
  const std::string bytes = Encode(image, ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, 1});
  const auto decoded = DecodeImage(bytes, {});
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(MaxDifference(*decoded, *DecodeImage(Encode(image, ".jpg"), {})), 0);
}

TEST(DecodeImageTest, EveryTruncationIsAnError) {
  const Image image = SmoothImage(64, 48);
  const std::vector<std::pair<std::string, std::string>> files = {
      {"jpeg", Encode(image, ".jpg")},
      {"progressive jpeg", Encode(image, ".jpg", {cv::IMWRITE_JPEG_PROGRESSIVE, 1})},
      {"png", Encode(image, ".png")},
      {"webp", Encode(image, ".webp")},
      {"lossless webp", Encode(image, ".webp", {cv::IMWRITE_WEBP_QUALITY, 101})},
      {"bmp", Encode(image, ".bmp")}};
  for (const auto& [name, bytes] : files) {
    // The last bytes of a JPEG are its end marker, of a PNG the checksum of its end.
    for (size_t size = 0; size + 2 < bytes.size(); size += 1 + size / 40) {
      const absl::Status status = DecodeError(absl::string_view(bytes).substr(0, size));
      ASSERT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
          << name << " cut to " << size << " of " << bytes.size() << ": " << status;
    }
    EXPECT_FALSE(DecodeImage(absl::string_view(bytes).substr(0, bytes.size() - 3), {}).ok())
        << name;
  }
}

TEST(DecodeImageTest, ATruncatedJpegSaysSo) {
  const std::string bytes = Encode(SmoothImage(64, 48), ".jpg");
  EXPECT_THAT(std::string(DecodeError(bytes.substr(0, bytes.size() / 2)).message()),
              HasSubstr("Premature end"));
}

TEST(DecodeImageTest, AWrongChecksumInAPngIsAnError) {
  std::string bytes = Encode(SmoothImage(64, 48), ".png");
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_THAT(std::string(DecodeError(bytes).message()), HasSubstr("checksum"));
}

TEST(DecodeImageTest, DamageNeverCrashes) {
  const Image image = SmoothImage(40, 30);
  for (const char* extension : {".jpg", ".png", ".webp", ".bmp"}) {
    const std::string bytes = Encode(image, extension);
    for (size_t at = 0; at < bytes.size(); at += 1 + at / 30) {
      for (const uint8_t bits : {0xFF, 0x01, 0x80}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ bits);
        DecodeOptions options;
        options.limits.max_pixels = 1'000'000;
        const auto decoded = DecodeImage(damaged, options);
        if (decoded.ok()) {
          EXPECT_EQ(decoded->rgb.size(), size_t{3} * decoded->width * decoded->height);
        }
      }
    }
  }
}

TEST(DecodeImageTest, ALargeImageIsRefusedFromItsHeader) {
  const std::string size16 = Number(30000, 2, true) + Number(30000, 2, true);
  const std::string frame =
      std::string("\x08", 1) + size16 + std::string("\x03\x01\x11\x00\x02\x11\x01\x03\x11\x01", 10);
  std::string jpeg = "\xFF\xD8\xFF\xC0" + Number(frame.size() + 2, 2, true) + frame;
  std::string png =
      "\x89PNG\r\n\x1A\n" + PngChunk("IHDR", Number(30000, 4, true) + Number(30000, 4, true) +
                                                 std::string("\x08\x02\0\0\0", 5));
  std::string webp = "RIFF" + Number(192, 4, false) + "WEBPVP8X" + Number(10, 4, false) +
                     Number(0, 4, false) + Number(29999, 3, false) + Number(29999, 3, false);
  std::string bmp = "BM" + Number(200, 4, false) + Number(0, 4, false) + Number(54, 4, false) +
                    Number(40, 4, false) + Number(30000, 4, false) + Number(30000, 4, false) +
                    Number(1, 2, false) + Number(24, 2, false);
  for (std::string* bytes : {&jpeg, &png, &webp, &bmp}) {
    bytes->resize(200);
    const absl::Status status = DecodeError(*bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("30000x30000, 900000000 pixels, over the limit of 100000000"));
  }
}

TEST(DecodeImageTest, TooManyBytesAreRefused) {
  DecodeOptions options;
  options.limits.max_bytes = 100;
  const absl::Status status = DecodeError(Encode(SmoothImage(64, 48), ".png"), options);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("over the limit of 100"));
}

// An image of nine fields, so that every orientation gives a different image.
class OrientationTest : public ::testing::TestWithParam<int> {};

TEST_P(OrientationTest, TurnsTheImageUpright) {
  const Image stored = SmoothImage(48, 32);
  const int orientation = GetParam();
  // What a viewer does, as the EXIF specification defines it: upright (x, y) comes from this stored
  // place.
  const auto source = [&](int x, int y) -> std::pair<int, int> {
    switch (orientation) {
      case 2:
        return {47 - x, y};
      case 3:
        return {47 - x, 31 - y};
      case 4:
        return {x, 31 - y};
      case 5:
        return {y, x};
      case 6:
        return {y, 31 - x};
      case 7:
        return {47 - y, 31 - x};
      case 8:
        return {47 - y, x};
      default:
        return {x, y};
    }
  };
  Image upright = orientation >= 5 ? Image{32, 48, {}} : Image{48, 32, {}};
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x) {
      const auto [from_x, from_y] = source(x, y);
      const uint8_t* pixel = &stored.rgb[3 * (48 * from_y + from_x)];
      upright.rgb.insert(upright.rgb.end(), pixel, pixel + 3);
    }
  }
  const std::string png = WithPngOrientation(Encode(stored, ".png"), orientation);
  const std::string jpeg = Encode(stored, ".jpg");
  EXPECT_EQ(ReadImageHeader(png)->orientation, orientation);
  const auto decoded = DecodeImage(png, {});
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(MaxDifference(*decoded, upright), 0);
  for (const bool big_endian : {false, true}) {
    const std::string turned = WithJpegOrientation(jpeg, orientation, big_endian);
    const auto header = ReadImageHeader(turned);
    EXPECT_EQ(header->orientation, orientation);
    EXPECT_EQ(header->width, 48);
    EXPECT_LE(MaxDifference(*DecodeImage(turned, {}), upright), 12);
    EXPECT_EQ(
        MaxDifference(*DecodeImage(turned, {.apply_orientation = false}), *DecodeImage(jpeg, {})),
        0);
  }
  EXPECT_EQ(MaxDifference(*DecodeImage(png, {.apply_orientation = false}), stored), 0);
}
INSTANTIATE_TEST_SUITE_P(All, OrientationTest, ::testing::Range(1, 9));

TEST(DecodeImageTest, DamagedOrientationIsIgnored) {
  const std::string jpeg = Encode(SmoothImage(48, 32), ".jpg");
  EXPECT_EQ(ReadImageHeader(WithJpegOrientation(jpeg, 9))->orientation, 1);
  std::string cut = WithJpegOrientation(jpeg, 6);
  cut[2 + 4 + 6 + 4] = '\x7F';  // where the directory starts: beyond the segment's end
  EXPECT_EQ(ReadImageHeader(cut)->orientation, 1);
  EXPECT_TRUE(DecodeImage(cut, {}).ok());
}

TEST(DecodeImageTest, GreyBecomesThreeEqualChannels) {
  cv::Mat grey(20, 30, CV_8UC1);
  for (int i = 0; i < 600; ++i) grey.data[i] = static_cast<uint8_t>(i % 256);
  for (const char* extension : {".png", ".bmp", ".jpg"}) {
    SCOPED_TRACE(extension);
    const auto decoded = DecodeImage(EncodeMat(grey, extension), {});
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    for (int i = 0; i < 600; ++i) {
      ASSERT_EQ(decoded->rgb[3 * i], decoded->rgb[3 * i + 1]);
      ASSERT_EQ(decoded->rgb[3 * i], decoded->rgb[3 * i + 2]);
      if (std::string(extension) != ".jpg") {
        ASSERT_EQ(decoded->rgb[3 * i], i % 256);
      }
    }
  }
}

TEST(DecodeImageTest, AlphaIsDropped) {
  cv::Mat mat(2, 3, CV_8UC4);
  for (int i = 0; i < 6; ++i) mat.at<cv::Vec4b>(i) = cv::Vec4b(10 + i, 20 + i, 30 + i, 40 * i);
  for (const auto& [extension, parameters] : {std::pair<const char*, std::vector<int>>{".png", {}},
                                              {".webp", {cv::IMWRITE_WEBP_QUALITY, 101}},
                                              {".bmp", {}}}) {
    SCOPED_TRACE(extension);
    const auto decoded = DecodeImage(EncodeMat(mat, extension, parameters), {});
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    // WebP may change fully transparent pixels.
    for (int i = 1; i < 6; ++i) {
      EXPECT_EQ(decoded->rgb[3 * i], 30 + i);
      EXPECT_EQ(decoded->rgb[3 * i + 1], 20 + i);
      EXPECT_EQ(decoded->rgb[3 * i + 2], 10 + i);
    }
  }
}

TEST(DecodeImageTest, SixteenBitsLoseTheirLowByte) {
  cv::Mat colour(1, 4, CV_16UC3);
  cv::Mat grey(1, 4, CV_16UC1);
  for (int i = 0; i < 4; ++i) {
    colour.at<cv::Vec3w>(i) = cv::Vec3w(0x1000 + i, 0x80FF, 0xFFFF - 0x100 * i);
    grey.at<uint16_t>(i) = static_cast<uint16_t>(0x40FF + 0x100 * i);
  }
  const auto decoded = DecodeImage(EncodeMat(colour, ".png"), {});
  const auto decoded_grey = DecodeImage(EncodeMat(grey, ".png"), {});
  ASSERT_TRUE(decoded.ok() && decoded_grey.ok());
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(decoded->rgb[3 * i], 0xFF - i);
    EXPECT_EQ(decoded->rgb[3 * i + 1], 0x80);
    EXPECT_EQ(decoded->rgb[3 * i + 2], 0x10);
    EXPECT_EQ(decoded_grey->rgb[3 * i], 0x40 + i);
  }
}

// Two-by-one PNG with a palette of four colours, one of them transparent: written by hand, as
// OpenCV cannot write one.
TEST(DecodeImageTest, PaletteBecomesItsColours) {
  const auto chunk = [](const std::string& name, const std::string& content) {
    uint32_t crc = 0xFFFFFFFF;
    for (const char c : name + content) {
      crc ^= static_cast<uint8_t>(c);
      for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    return Number(content.size(), 4, true) + name + content + Number(~crc, 4, true);
  };
  const std::string row = std::string("\0\x01\x03", 3);  // no filter, colours 1 and 3
  // One stored deflate block, and Adler's checksum of the row.
  const std::string zlib = std::string("\x78\x01\x01", 3) + Number(3, 2, false) +
                           Number(0xFFFC, 2, false) + row + Number(0x000A0005 - 0x3, 4, true);
  uint32_t a = 1, b = 0;
  for (const char c : row) {
    a += static_cast<uint8_t>(c);
    b += a;
  }
  const std::string data = zlib.substr(0, zlib.size() - 4) + Number(b << 16 | a, 4, true);
  const std::string png =
      "\x89PNG\r\n\x1A\n" +
      chunk("IHDR", Number(2, 4, true) + Number(1, 4, true) + std::string("\x08\x03\0\0\0", 5)) +
      chunk("PLTE", std::string("\x01\x02\x03\x11\x12\x13\x21\x22\x23\x31\x32\x33", 12)) +
      chunk("tRNS", std::string("\xFF\x00", 2)) + chunk("IDAT", data) + chunk("IEND", "");
  const auto decoded = DecodeImage(png, {});
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_THAT(decoded->rgb, ::testing::ElementsAre(0x11, 0x12, 0x13, 0x31, 0x32, 0x33));
}

// BMP with a palette of 16 colours, and one with its rows from the top.
TEST(DecodeImageTest, BmpVariants) {
  const auto bmp = [](int height, int bits, const std::string& palette, const std::string& pixels) {
    const size_t offset = 54 + palette.size();
    return "BM" + Number(offset + pixels.size(), 4, false) + Number(0, 4, false) +
           Number(offset, 4, false) + Number(40, 4, false) + Number(2, 4, false) +
           Number(static_cast<uint32_t>(height), 4, false) + Number(1, 2, false) +
           Number(bits, 2, false) + Number(0, 4, false) + Number(pixels.size(), 4, false) +
           Number(0, 8, false) + Number(palette.size() / 4, 4, false) + Number(0, 4, false) +
           palette + pixels;
  };
  std::string palette;
  for (int i = 0; i < 16; ++i) palette += Number(i * 0x010101, 4, false);
  const auto indexed = DecodeImage(bmp(1, 4, palette, std::string("\x5A\0\0\0", 4)), {});
  ASSERT_TRUE(indexed.ok()) << indexed.status();
  EXPECT_THAT(indexed->rgb, ::testing::ElementsAre(5, 5, 5, 10, 10, 10));

  const std::string rows = std::string("\1\2\3\4\5\6\0\0\7\10\11\12\13\14\0\0", 16);
  const auto top_down = DecodeImage(bmp(-2, 24, "", rows), {});
  ASSERT_TRUE(top_down.ok()) << top_down.status();
  EXPECT_THAT(top_down->rgb, ::testing::ElementsAre(3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10));
  EXPECT_THAT(std::string(DecodeError(bmp(-2, 24, "", rows.substr(0, 12))).message()),
              HasSubstr("truncated"));
}

TEST(DecodeImageTest, MinShortSideDecodesAJpegSmaller) {
  const std::string jpeg = Encode(SmoothImage(400, 320), ".jpg");
  for (const auto& [least, width] : {std::pair{0, 400},
                                     {321, 400},
                                     {161, 400},
                                     {160, 200},
                                     {81, 200},
                                     {80, 100},
                                     {40, 50},
                                     {1, 50}}) {
    const auto decoded = DecodeImage(jpeg, {}, /*min_short_side=*/least);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, width) << least;
    EXPECT_LE(MaxDifference(*decoded, SmoothImage(width, width * 4 / 5)), 14) << least;
  }
  EXPECT_EQ(DecodeImage(Encode(SmoothImage(400, 320), ".png"), {}, /*min_short_side=*/40)->width,
            400);
}

// Fine detail everywhere, so that an inexact pixel shows.
Image NoisyImage(int width, int height) {
  Image image = SmoothImage(width, height);
  CounterRandom random(3, RandomPurpose::kShapes, 0, 0);
  for (uint8_t& byte : image.rgb) byte = static_cast<uint8_t>(byte / 2 + random.UniformInt(128));
  return image;
}

struct JpegKind {
  int across = 1;  // pixels per chroma sample
  int down = 1;
  bool progressive = false;
  bool one_scan_per_channel = false;
  int restart_interval = 0;
  bool cmyk = false;
};

std::string EncodeJpeg(const Image& image, const JpegKind& kind) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg's
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = image.width;
  info.image_height = image.height;
  info.input_components = kind.cmyk ? 4 : 3;
  info.in_color_space = kind.cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&info);
  info.comp_info[0].h_samp_factor = kind.across;
  info.comp_info[0].v_samp_factor = kind.down;
  info.restart_interval = kind.restart_interval;
  if (kind.progressive) jpeg_simple_progression(&info);
  const jpeg_scan_info scans[] = {
      {1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
  if (kind.one_scan_per_channel) {
    info.scan_info = scans;
    info.num_scans = 3;
  }
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row(size_t{4} * image.width, 200);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* in = &image.rgb[size_t{3} * y * image.width];
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < 3; ++c) row[info.input_components * x + c] = in[3 * x + c];
    }
    uint8_t* line = row.data();
    jpeg_write_scanlines(&info, &line, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string encoded(reinterpret_cast<char*>(bytes), size);
  free(bytes);
  return encoded;
}

// Every kind of image that is decoded differently.
std::vector<std::pair<std::string, std::string>> EncodingsOf(const Image& image) {
  const auto jpeg = [&](const JpegKind& kind) { return EncodeJpeg(image, kind); };
  return {{"4:4:4", jpeg({})},
          {"4:2:2", jpeg({.across = 2})},
          {"4:2:0", jpeg({.across = 2, .down = 2})},
          {"4:4:0", jpeg({.down = 2})},
          {"4:1:1", jpeg({.across = 4})},
          {"progressive", jpeg({.across = 2, .down = 2, .progressive = true})},
          {"three scans", jpeg({.across = 2, .down = 2, .one_scan_per_channel = true})},
          {"restarts", jpeg({.across = 2, .down = 2, .restart_interval = 3})},
          {"CMYK", jpeg({.cmyk = true})},
          {"upside down", WithJpegOrientation(jpeg({.across = 2, .down = 2}), 3)},
          {"on its side", WithJpegOrientation(jpeg({.across = 2, .down = 2}), 6)},
          {"PNG", Encode(image, ".png")},
          {"BMP", Encode(image, ".bmp")},
          {"WebP", Encode(image, ".webp")}};
}

// Returns the pixels of `region` in `part`.
Image Cut(const ImagePart& part, const Region& region) {
  Image cut{region.width, region.height, {}};
  for (int y = 0; y < region.height; ++y) {
    const auto from = part.image.rgb.begin() + 3 * ((region.top - part.top + y) * part.image.width +
                                                    region.left - part.left);
    cut.rgb.insert(cut.rgb.end(), from, from + ptrdiff_t{3} * region.width);
  }
  return cut;
}

TEST(DecodeImageTest, AFrameHeaderThatOnlyTheDecoderSeesIsRefused) {
  // Decoders skip FF 00 and the bytes up to the next marker: the first image's header, which read
  // as a segment with a length would be skipped too.
  const std::string hidden = Encode(SmoothImage(40, 30), ".jpg").substr(2);
  const std::string seen = Encode(SmoothImage(8, 8), ".jpg").substr(2);
  const std::string jpeg =
      std::string("\xFF\xD8\xFF\0", 4) + Number(hidden.size() + 2, 2, true) + hidden + seen;
  EXPECT_THAT(std::string(DecodeError(jpeg).message()), HasSubstr("no frame header"));
}

TEST(DecodePartTest, EqualsTheWholeImageThere) {
  CounterRandom random(1, RandomPurpose::kShapes, 0, 0);
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random.UniformInt(n)); };
  for (const auto& [width, height] : {std::pair{161, 90}, {64, 200}, {33, 17}, {5, 3}, {1, 1}}) {
    for (const auto& [kind, bytes] : EncodingsOf(NoisyImage(width, height))) {
      for (const int min_short_side : {0, 20}) {
        const ImagePart whole{*DecodeImage(bytes, {}, min_short_side)};
        for (int i = 0; i < 40; ++i) {
          Region region;
          PixelRequest request{.min_short_side = min_short_side, .known_whole = i % 2 == 0};
          int calls = 0;
          request.choose = [&](int w, int h) {
            ++calls;
            EXPECT_EQ(w, whole.image.width);
            EXPECT_EQ(h, whole.image.height);
            region.width = static_cast<int>(1 + below(w));
            region.height = static_cast<int>(1 + below(h));
            region.left = below(w - region.width + 1);
            region.top = below(h - region.height + 1);
            return region;
          };
          const auto part = DecodePart(bytes, {}, request);
          ASSERT_TRUE(part.ok()) << part.status();
          EXPECT_EQ(calls, 1);
          ASSERT_EQ(MaxDifference(Cut(*part, region), Cut(whole, region)), 0)
              << kind << " " << width << "x" << height << " over " << min_short_side << ": "
              << region.width << "x" << region.height << " at " << region.left << "," << region.top;
        }
      }
    }
  }
}

TEST(DecodePartTest, DecodesNoMoreThanIsNeeded) {
  PixelRequest request;
  request.choose = [](int, int) { return Region{300, 200, 100, 50}; };
  const auto part = DecodePart(Encode(SmoothImage(800, 600), ".jpg"), {}, request);
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_LE(part->image.width, 150);
  EXPECT_EQ(part->image.height, 50);
}

TEST(DecodePartTest, FindsDamageOutsideThePartUnlessKnownWhole) {
  const std::string jpeg = EncodeJpeg(NoisyImage(160, 120), {.across = 2, .down = 2});
  PixelRequest request;
  request.choose = [](int, int) { return Region{8, 8, 40, 20}; };
  ASSERT_TRUE(DecodePart(jpeg, {}, request).ok());
  int differing = 0, damaged = 0;
  for (size_t at = jpeg.size() / 2; at < jpeg.size(); at += 7) {
    for (const bool cut_off : {false, true}) {
      std::string bad = jpeg;
      if (cut_off) {
        bad.resize(at);
      } else {
        bad[at] = static_cast<char>(bad[at] ^ 0x5A);
      }
      const bool whole_fails = !DecodeImage(bad, {}).ok();
      EXPECT_EQ(!DecodePart(bad, {}, request).ok(), whole_fails) << at;
      damaged += whole_fails ? 1 : 0;
      PixelRequest trusting = request;
      trusting.known_whole = true;
      differing += whole_fails && DecodePart(bad, {}, trusting).ok() ? 1 : 0;
    }
  }
  EXPECT_GT(damaged, 50);
  EXPECT_EQ(differing, damaged);  // data after the part was not checked
}

}  // namespace
}  // namespace vit
