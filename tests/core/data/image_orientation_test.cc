// The expected orientations are those of Pillow 13's ImageOps.exif_transpose.
#include "core/data/image/image_orientation.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/data/image/image.h"
#include "core/data/image/image_header.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

const std::string kPrefix("Exif\0\0", 6);
constexpr char kXmpAttribute[] = "<rdf:Description tiff:Orientation=\"6\" xmp:Rating=\"1\"/>";
constexpr char kXmpElement[] = "<x><tiff:Orientation>8</tiff:Orientation></x>";

std::string Number(uint32_t value, int bytes, bool big_endian) {
  std::string number;
  for (int i = 0; i < bytes; ++i) {
    number += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i));
  }
  return number;
}

// A TIFF structure with one entry: the orientation, of this type and count, whose four bytes are
// `value`; `rest` follows at byte 26.
std::string Tiff(bool big_endian, int type, int count, const std::string& value,
                 const std::string& rest = "") {
  const auto number = [&](uint32_t n, int bytes) { return Number(n, bytes, big_endian); };
  return absl::StrCat(big_endian ? "MM" : "II", number(42, 2), number(8, 4), number(1, 2),
                      number(0x0112, 2), number(type, 2), number(count, 4), value, number(0, 4),
                      rest);
}

std::string Segment(const std::string& content) {
  return absl::StrCat("\xFF\xE1", Number(content.size() + 2, 2, true), content);
}

std::string Chunk(const std::string& type, const std::string& content) {
  const std::string body = type + content;
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
  return absl::StrCat(Number(content.size(), 4, true), body, Number(crc, 4, true));
}

std::string Deflate(const std::string& text) {
  std::string deflated(compressBound(text.size()), '\0');
  uLongf size = deflated.size();
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(deflated.data()), &size,
                     reinterpret_cast<const Bytef*>(text.data()), text.size()),
            Z_OK);
  return deflated.substr(0, size);
}

TEST(ReadOrientationTest, TakesWholeNumbersOfEveryWidth) {
  for (const bool big_endian : {false, true}) {
    const std::string zeros(2, '\0');
    const std::string as_short = Number(6, 2, big_endian) + zeros;
    const std::string as_long = Number(6, 4, big_endian);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 3, 1, as_short), ""), 6);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 4, 1, as_long), ""), 6);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 8, 1, as_short), ""), 6);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 9, 1, as_long), ""), 6);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 3, 2, as_short), ""), 6);
    // Several numbers do not fit into the entry.
    EXPECT_EQ(
        ReadOrientation(Tiff(big_endian, 4, 2, Number(26, 4, big_endian), as_long + as_long), ""),
        6);
    // No number, none at all, out of range, cut off.
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 2, 1, as_short), ""), 1);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 3, 0, as_short), ""), 1);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 4, 1, Number(0x60006, 4, big_endian)), ""), 1);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 4, 2, Number(26, 4, big_endian)), ""), 1);
    EXPECT_EQ(ReadOrientation(Tiff(big_endian, 4, 1, as_long).substr(0, 20), ""), 1);
  }
}

TEST(ReadOrientationTest, TakesTheExifHeaderTwice) {
  const std::string tiff = ExifBlock(6, /*big_endian=*/true);
  EXPECT_EQ(ReadOrientation(tiff, ""), 6);
  EXPECT_EQ(ReadOrientation(kPrefix + tiff, ""), 6);
  EXPECT_EQ(ReadOrientation(kPrefix + kPrefix + tiff, ""), 6);
  EXPECT_EQ(ReadOrientation(kPrefix + kPrefix + kPrefix + tiff, ""), 1);
}

TEST(ReadOrientationTest, XmpCountsWhereExifSaysNothing) {
  EXPECT_EQ(ReadOrientation("", kXmpAttribute), 6);
  EXPECT_EQ(ReadOrientation("", kXmpElement), 8);
  EXPECT_EQ(ReadOrientation("damaged", kXmpElement), 8);
  EXPECT_EQ(ReadOrientation(ExifBlock(3, false), kXmpElement), 3);
  EXPECT_EQ(ReadOrientation(ExifBlock(1, false), kXmpElement), 1);
  EXPECT_EQ(ReadOrientation("", "<tiff:Orientation>9</tiff:Orientation>"), 1);
  EXPECT_EQ(ReadOrientation("", "tiff:Orientation"), 1);
}

TEST(ImageOrientationTest, JpegSegments) {
  const std::string jpeg = Encode(SmoothImage(16, 8), ".jpg");
  const auto orientation = [&](const std::string& segments) {
    const auto header = ReadImageHeader(jpeg.substr(0, 2) + segments + jpeg.substr(2));
    EXPECT_TRUE(header.ok()) << header.status();
    return header.ok() ? header->orientation : 0;
  };
  const std::string xmp_name("http://ns.adobe.com/xap/1.0/\0", 29);
  const std::string xmp = Segment(xmp_name + kXmpAttribute);
  const std::string exif = Segment(kPrefix + kPrefix + ExifBlock(3, true));
  EXPECT_EQ(orientation(""), 1);
  EXPECT_EQ(orientation(xmp), 6);
  EXPECT_EQ(orientation(Segment(xmp_name + kXmpElement)), 8);
  EXPECT_EQ(orientation(exif + xmp), 3);
  EXPECT_EQ(orientation(xmp + exif), 3);
  EXPECT_EQ(orientation(Segment(kPrefix + Tiff(false, 4, 1, Number(6, 4, false)))), 6);
  EXPECT_EQ(orientation(Segment(kXmpAttribute)), 1);  // some other kind
  EXPECT_EQ(orientation(Segment(kPrefix + kPrefix + kPrefix + ExifBlock(3, true))), 1);
}

TEST(ImageOrientationTest, PngChunks) {
  const std::string png = Encode(SmoothImage(16, 8), ".png");
  const auto orientation = [&](const std::string& chunks) {
    constexpr size_t kAfterHeader = 8 + 25;
    const std::string bytes = png.substr(0, kAfterHeader) + chunks + png.substr(kAfterHeader);
    EXPECT_TRUE(DecodeImage(bytes, {}).ok());
    const auto header = ReadImageHeader(bytes);
    EXPECT_TRUE(header.ok()) << header.status();
    return header.ok() ? header->orientation : 0;
  };
  const std::string keyword("XML:com.adobe.xmp\0", 18), zeros(4, '\0');
  const std::string xmp = Chunk("iTXt", keyword + zeros + kXmpAttribute);
  EXPECT_EQ(orientation(xmp), 6);
  const std::string deflated =
      Chunk("iTXt", keyword + std::string("\x01\0en\0key\0", 9) + Deflate(kXmpElement));
  EXPECT_EQ(orientation(deflated), 8);
  EXPECT_EQ(orientation(Chunk("iTXt", keyword + std::string("\x01\0\0\0damaged", 11))), 1);
  EXPECT_EQ(orientation(Chunk("iTXt", "XML")), 1);
  EXPECT_EQ(orientation(Chunk("tEXt", keyword + kXmpAttribute)), 6);
  EXPECT_EQ(orientation(xmp + deflated), 8);
  const std::string exif = kPrefix + ExifBlock(3, true);
  EXPECT_EQ(orientation(xmp + Chunk("eXIf", exif)), 3);
  // As ImageMagick writes it.
  const std::string profile =
      absl::StrCat("\nexif\n      ", exif.size(), "\n", absl::BytesToHexString(exif), "\n");
  const std::string raw("Raw profile type exif\0", 22);
  EXPECT_EQ(orientation(Chunk("tEXt", raw + profile)), 3);
  EXPECT_EQ(orientation(Chunk("zTXt", raw + std::string(1, '\0') + Deflate(profile)) + xmp), 3);
}

TEST(ImageOrientationTest, WebpChunks) {
  const std::string frame = Encode(SmoothImage(16, 8), ".webp").substr(12);
  const auto chunk = [](const std::string& name, const std::string& content) {
    return absl::StrCat(name, Number(content.size(), 4, false), content,
                        std::string(content.size() % 2, '\0'));
  };
  const auto orientation = [&](const std::string& chunks) {
    const std::string canvas = chunk("VP8X", std::string("\x0C\0\0\0\x0F\0\0\x07\0\0", 10));
    const std::string body = "WEBP" + canvas + frame + chunks;
    const std::string bytes = absl::StrCat("RIFF", Number(body.size(), 4, false), body);
    EXPECT_TRUE(DecodeImage(bytes, {}).ok()) << DecodeImage(bytes, {}).status();
    const auto header = ReadImageHeader(bytes);
    return header.ok() ? header->orientation : 0;
  };
  EXPECT_EQ(orientation(chunk("XMP ", kXmpAttribute)), 6);
  EXPECT_EQ(orientation(chunk("EXIF", ExifBlock(3, true)) + chunk("XMP ", kXmpAttribute)), 3);
}

}  // namespace
}  // namespace vit
