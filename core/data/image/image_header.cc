#include "core/data/image/image_header.h"

#include <zlib.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"
#include "core/data/image/image_format.h"
#include "core/data/image/image_orientation.h"

namespace vit {
namespace {

absl::Status Bad(absl::string_view format, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(format, ": ", why));
}

absl::StatusOr<ImageHeader> ReadJpegHeader(absl::string_view bytes) {
  ImageHeader header{ImageFormat::kJpeg};
  std::string exif;  // of all its segments
  absl::string_view xmp;
  BoundedReader reader(bytes);
  reader.Skip(2);
  while (reader.ok()) {
    if (reader.U8() != 0xFF) break;
    uint8_t marker = reader.U8();
    while (marker == 0xFF) marker = reader.U8();  // fill bytes
    constexpr uint8_t kEoi = 0xD9;
    constexpr uint8_t kSos = 0xDA;
    // 0 is not a marker: decoders continue to the next one, wherever that is.
    if (marker == 0 || marker == kSos || marker == kEoi || !reader.ok()) break;
    if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8)) continue;  // without content
    const uint16_t length = reader.U16Be();
    if (length < 2) return Bad("JPEG", "a segment's length is below 2");
    const absl::string_view content = reader.Bytes(length - 2);
    constexpr uint8_t kApp1 = 0xE1;
    const bool is_frame =
        marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
    constexpr absl::string_view kExif("Exif\0\0", 6);
    constexpr absl::string_view kXmp("http://ns.adobe.com/xap/1.0/\0", 29);
    if (marker == kApp1 && absl::StartsWith(content, absl::string_view("Exif\0", 5)) &&
        content.size() > 6) {
      absl::StrAppend(&exif, exif.empty() ? kExif : "", content.substr(6));
    } else if (marker == kApp1 && absl::StartsWith(content, kXmp)) {
      xmp = content.substr(kXmp.size());
    } else if (is_frame && header.width == 0) {
      BoundedReader frame(content);
      frame.Skip(1);  // precision
      header.height = frame.U16Be();
      header.width = frame.U16Be();
      if (!frame.ok()) break;
      if (header.width == 0 || header.height == 0) return Bad("JPEG", "width or height is 0");
    }
  }
  if (header.width == 0) {
    return Bad("JPEG", "no frame header found: the file is truncated or damaged");
  }
  header.orientation = ReadOrientation(exif, xmp);
  return header;
}

// Inflates `deflated`; empty if it is damaged or has more than a megabyte, as in Pillow.
std::string Inflate(absl::string_view deflated) {
  std::string text(1 << 20, '\0');
  uLongf size = text.size();
  const bool ok = uncompress(reinterpret_cast<Bytef*>(text.data()), &size,
                             reinterpret_cast<const Bytef*>(deflated.data()),
                             static_cast<uLong>(deflated.size())) == Z_OK;
  text.resize(ok ? size : 0);
  return text;
}

// Takes the text before the next zero byte, and that byte.
absl::string_view TakeText(absl::string_view* bytes) {
  const size_t end = std::min(bytes->find('\0'), bytes->size());
  const absl::string_view text = bytes->substr(0, end);
  bytes->remove_prefix(std::min(end + 1, bytes->size()));
  return text;
}

// Returns the text of a PNG's tEXt, zTXt or iTXt chunk if its keyword is `keyword`, otherwise "".
std::string PngText(absl::string_view type, absl::string_view chunk, absl::string_view keyword) {
  if (TakeText(&chunk) != keyword) return "";
  if (type == "tEXt") return std::string(chunk);
  if (chunk.empty()) return "";
  const bool deflated = type == "zTXt" || chunk[0] != 0;
  chunk.remove_prefix(1);  // the compression method, or whether it is compressed
  if (type == "iTXt") {
    chunk.remove_prefix(std::min<size_t>(1, chunk.size()));
    TakeText(&chunk);  // the language
    TakeText(&chunk);  // the keyword in that language
  }
  return deflated ? Inflate(chunk) : std::string(chunk);
}

absl::StatusOr<ImageHeader> ReadPngHeader(absl::string_view bytes) {
  ImageHeader header{ImageFormat::kPng};
  BoundedReader reader(bytes);
  reader.Skip(8);
  const uint32_t length = reader.U32Be();
  const absl::string_view type = reader.Bytes(4);
  const uint32_t width = reader.U32Be();
  const uint32_t height = reader.U32Be();
  reader.Skip(5 + 4);  // the rest of IHDR, its checksum
  if (!reader.ok()) return Bad("PNG", "the header is truncated");
  if (type != "IHDR" || length != 13) return Bad("PNG", "the first chunk is not an image header");
  if (width == 0 || height == 0) return Bad("PNG", "width or height is 0");
  if (width > INT32_MAX || height > INT32_MAX) return Bad("PNG", "a side exceeds 2^31 - 1");
  header.width = static_cast<int>(width);
  header.height = static_cast<int>(height);
  absl::string_view exif;
  std::string raw_exif, xmp;
  while (reader.ok() && reader.remaining() > 0) {
    const uint32_t size = reader.U32Be();
    const absl::string_view name = reader.Bytes(4);
    const absl::string_view content = reader.Bytes(size);
    reader.Skip(4);
    if (!reader.ok()) break;
    if (name == "eXIf") exif = content;
    if (name != "iTXt" && name != "tEXt" && name != "zTXt") continue;
    // The last of each counts.
    if (std::string text = PngText(name, content, "XML:com.adobe.xmp"); !text.empty()) {
      xmp = std::move(text);
    }
    if (std::string text = PngText(name, content, "Raw profile type exif"); !text.empty()) {
      raw_exif = ParseRawProfile(text);
    }
  }
  header.orientation = ReadOrientation(exif.empty() ? absl::string_view(raw_exif) : exif, xmp);
  return header;
}

// Reads the width and height of a VP8 or VP8L bitstream; false if `content` is not one.
bool ReadWebpFrameSize(absl::string_view name, absl::string_view content, int* width, int* height) {
  BoundedReader reader(content);
  if (name == "VP8 ") {
    reader.Skip(3);  // frame tag
    if (reader.Bytes(3) != "\x9d\x01\x2a") return false;
    *width = reader.U16Le() & 0x3FFF;
    *height = reader.U16Le() & 0x3FFF;
    return reader.ok() && *width > 0 && *height > 0;
  }
  if (reader.U8() != 0x2F) return false;
  const uint32_t bits = reader.U32Le();
  *width = static_cast<int>(bits & 0x3FFF) + 1;
  *height = static_cast<int>(bits >> 14 & 0x3FFF) + 1;
  return reader.ok();
}

absl::StatusOr<ImageHeader> ReadWebpHeader(absl::string_view bytes) {
  ImageHeader header{ImageFormat::kWebp};
  BoundedReader reader(bytes);
  reader.Skip(12);
  bool extended = false;
  bool has_frame = false;
  absl::string_view exif, xmp;
  while (reader.ok() && reader.remaining() > 0) {
    const absl::string_view name = reader.Bytes(4);
    const uint32_t size = reader.U32Le();
    if (!reader.ok()) break;
    // The last chunk may be cut short: sizes are at its start, and DecodeImage finds the
    // truncation.
    const absl::string_view content = reader.Bytes(std::min<size_t>(size, reader.remaining()));
    reader.Skip(std::min<size_t>(size % 2, reader.remaining()));
    if (name == "VP8X") {
      BoundedReader canvas(content);
      canvas.Skip(4);
      header.width = static_cast<int>(canvas.U24Le()) + 1;
      header.height = static_cast<int>(canvas.U24Le()) + 1;
      if (!canvas.ok()) return Bad("WebP", "the header is truncated");
      extended = true;
    } else if ((name == "VP8 " || name == "VP8L") && !has_frame) {
      int width = 0;
      int height = 0;
      if (!ReadWebpFrameSize(name, content, &width, &height)) {
        return Bad("WebP", "the image's header is truncated or damaged");
      }
      if (extended && (width != header.width || height != header.height)) {
        return Bad("WebP", absl::StrCat("the canvas is ", header.width, "x", header.height,
                                        " but the image in it ", width, "x", height));
      }
      header.width = width;
      header.height = height;
      has_frame = true;
    } else if (name == "EXIF") {
      exif = content;
    } else if (name == "XMP ") {
      xmp = content;
    }
  }
  if (header.width == 0) return Bad("WebP", "no image found: the file is truncated or damaged");
  header.orientation = ReadOrientation(exif, xmp);
  return header;
}

absl::StatusOr<ImageHeader> ReadBmpHeader(absl::string_view bytes) {
  ImageHeader header{ImageFormat::kBmp};
  BoundedReader reader(bytes);
  reader.Skip(14);
  const uint32_t size = reader.U32Le();
  constexpr uint32_t kCoreHeader = 12;
  int64_t width;
  int64_t height;
  if (size == kCoreHeader) {
    width = reader.U16Le();
    height = reader.U16Le();
  } else {
    width = static_cast<int32_t>(reader.U32Le());
    height = static_cast<int32_t>(reader.U32Le());
    if (height < 0) height = -height;  // rows from the top
  }
  if (!reader.ok()) return Bad("BMP", "the header is truncated");
  if (size != kCoreHeader && (size < 40 || size > 1024)) {
    return Bad("BMP", absl::StrCat("unknown header of ", size, " bytes"));
  }
  if (width <= 0 || height <= 0 || height > INT32_MAX) {
    return Bad("BMP", "width or height is out of range");
  }
  header.width = static_cast<int>(width);
  header.height = static_cast<int>(height);
  return header;
}

}  // namespace

absl::StatusOr<ImageHeader> ReadImageHeader(absl::string_view bytes) {
  if (bytes.empty()) return absl::InvalidArgumentError("the image is empty (0 bytes)");
  const RecognizedImage format = RecognizeImage(bytes.substr(0, kImageStartBytes));
  if (format.name == "JPEG") return ReadJpegHeader(bytes);
  if (format.name == "PNG") return ReadPngHeader(bytes);
  if (format.name == "WebP") return ReadWebpHeader(bytes);
  if (absl::StartsWith(bytes, "BM")) return ReadBmpHeader(bytes);  // a damaged one too
  if (!format.name.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image is ", format.name == "animated WebP" ? "an " : "in the format ",
                     format.name, ", which is not supported; convert it to JPEG, PNG, WebP or BMP",
                     format.name == "animated WebP" ? " of one frame" : ""));
  }
  std::string start;
  for (const char c : bytes.substr(0, 8)) {
    absl::StrAppendFormat(&start, "%s%02x", start.empty() ? "" : " ", static_cast<uint8_t>(c));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("not a JPEG, PNG, WebP or BMP image (it starts with bytes ", start, ")"));
}

}  // namespace vit
