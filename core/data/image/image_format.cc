#include "core/data/image/image_format.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "absl/strings/match.h"
#include "core/base/bounded_reader.h"

namespace vit {
namespace {

// Checks more than the two letters, which text can start with too.
bool IsBmp(absl::string_view start) {
  if (!absl::StartsWith(start, "BM")) return false;
  BoundedReader reader(start);
  reader.Skip(14);
  const uint32_t info_size = reader.U32Le();
  return reader.ok() && (info_size == 12 || (info_size >= 40 && info_size <= 1024));
}

bool IsAnimatedWebp(absl::string_view start) {
  constexpr uint8_t kAnimation = 0x02;
  return start.size() > 20 && start.substr(12, 4) == "VP8X" &&
         (static_cast<uint8_t>(start[20]) & kAnimation) != 0;
}

// The formats in an ISO base media file (ISO/IEC 14496-12): its first box lists the brands that it
// follows.
absl::string_view IsoMediaFormat(absl::string_view start) {
  BoundedReader reader(start);
  const size_t box_bytes = reader.U32Be();
  if (reader.Bytes(4) != "ftyp") return "";
  bool heic = false;
  for (size_t at = 8; at + 4 <= std::min(box_bytes, start.size()); at += 4) {
    const absl::string_view brand = start.substr(at, 4);
    if (brand == "avif" || brand == "avis") return "AVIF";
    if (brand == "heic" || brand == "heix" || brand == "hevc" || brand == "hevx" ||
        brand == "heim" || brand == "heis" || brand == "mif1" || brand == "msf1") {
      heic = true;
    }
  }
  return heic ? "HEIC" : "";
}

bool StartsWithAny(absl::string_view start, std::initializer_list<absl::string_view> signatures) {
  return std::any_of(signatures.begin(), signatures.end(), [&](absl::string_view signature) {
    return absl::StartsWith(start, signature);
  });
}

}  // namespace

RecognizedImage RecognizeImage(absl::string_view start) {
  using absl::string_view;
  if (absl::StartsWith(start, "\xFF\xD8\xFF")) return {"JPEG", true};
  if (absl::StartsWith(start, "\x89PNG\r\n\x1A\n")) return {"PNG", true};
  if (absl::StartsWith(start, "RIFF") && start.size() >= 12 && start.substr(8, 4) == "WEBP") {
    return IsAnimatedWebp(start) ? RecognizedImage{"animated WebP"} : RecognizedImage{"WebP", true};
  }
  if (IsBmp(start)) return {"BMP", true};
  if (StartsWithAny(start, {"GIF87a", "GIF89a"})) return {"GIF"};
  // The last two are BigTIFF.
  if (StartsWithAny(start, {string_view("II*\0", 4), string_view("MM\0*", 4),
                            string_view("II+\0", 4), string_view("MM\0+", 4)})) {
    return {"TIFF"};
  }
  if (StartsWithAny(start, {"\xFF\x0A", string_view("\0\0\0\x0CJXL \r\n\x87\n", 12)})) {
    return {"JPEG XL"};
  }
  if (StartsWithAny(start, {"\xFF\x4F\xFF\x51", string_view("\0\0\0\x0CjP  ", 8)})) {
    return {"JPEG 2000"};
  }
  return {IsoMediaFormat(start)};
}

}  // namespace vit
