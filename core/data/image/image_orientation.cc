#include "core/data/image/image_orientation.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/bounded_reader.h"

namespace vit {
namespace {

// Reads numbers of a TIFF structure in its byte order.
class TiffReader {
 public:
  TiffReader(absl::string_view tiff, bool big_endian) : reader_(tiff), big_endian_(big_endian) {}
  uint16_t U16() { return big_endian_ ? reader_.U16Be() : reader_.U16Le(); }
  uint32_t U32() { return big_endian_ ? reader_.U32Be() : reader_.U32Le(); }
  BoundedReader& bytes() { return reader_; }

 private:
  BoundedReader reader_;
  bool big_endian_;
};

// Returns the first value of the directory entry whose type, count and value `entry` reads next;
// none if the type does not hold whole numbers.
std::optional<int64_t> FirstValue(TiffReader entry, absl::string_view tiff, bool big_endian) {
  constexpr uint16_t kShort = 3, kLong = 4, kSignedShort = 8, kSignedLong = 9;
  const uint16_t type = entry.U16();
  const uint64_t count = entry.U32();
  const bool is_short = type == kShort || type == kSignedShort;
  const bool is_long = type == kLong || type == kSignedLong;
  if (count == 0 || (!is_short && !is_long)) return std::nullopt;
  TiffReader value = entry;
  if (count * (is_short ? 2 : 4) > 4) {  // stored elsewhere
    const uint32_t offset = entry.U32();
    value = TiffReader(tiff, big_endian);
    value.bytes().Seek(offset);
  }
  const int64_t number = is_short ? value.U16() : value.U32();
  return value.bytes().ok() ? std::optional<int64_t>(number) : std::nullopt;
}

std::optional<int64_t> TiffOrientation(absl::string_view tiff) {
  const bool big_endian = absl::StartsWith(tiff, "MM");
  if (!big_endian && !absl::StartsWith(tiff, "II")) return std::nullopt;
  TiffReader reader(tiff, big_endian);
  reader.bytes().Skip(2);
  const uint16_t magic = reader.U16();
  // Some writers swap its bytes.
  if (magic != 42 && magic != 42 << 8) return std::nullopt;
  reader.bytes().Seek(reader.U32());
  const int entries = reader.U16();
  for (int i = 0; i < entries; ++i) {
    constexpr uint16_t kOrientation = 0x0112;
    const uint16_t tag = reader.U16();
    const TiffReader entry = reader;
    reader.bytes().Skip(10);
    if (!reader.bytes().ok()) break;
    if (tag == kOrientation) return FirstValue(entry, tiff, big_endian);
  }
  return std::nullopt;
}

// Finds the orientation as an attribute or an element.
std::optional<int64_t> XmpOrientation(absl::string_view xmp) {
  constexpr absl::string_view kName = "tiff:Orientation";
  for (size_t at = xmp.find(kName); at != absl::string_view::npos; at = xmp.find(kName, at + 1)) {
    absl::string_view rest = xmp.substr(at + kName.size());
    if (!absl::ConsumePrefix(&rest, "=\"") && !absl::ConsumePrefix(&rest, ">")) continue;
    if (!rest.empty() && absl::ascii_isdigit(rest[0])) return rest[0] - '0';
  }
  return std::nullopt;
}

}  // namespace

int ReadOrientation(absl::string_view exif, absl::string_view xmp) {
  constexpr absl::string_view kPrefix("Exif\0\0", 6);
  for (int i = 0; i < 2; ++i) absl::ConsumePrefix(&exif, kPrefix);
  std::optional<int64_t> orientation = TiffOrientation(exif);
  if (!orientation.has_value()) orientation = XmpOrientation(xmp);
  return orientation >= 1 && orientation <= 8 ? static_cast<int>(*orientation) : 1;
}

std::string ParseRawProfile(absl::string_view text) {
  // An empty line, the profile's name, its size, then the digits.
  const std::vector<absl::string_view> lines = absl::StrSplit(text, absl::MaxSplits('\n', 3));
  if (lines.size() < 4) return "";
  std::string digits;
  for (const char c : lines[3]) {
    if (absl::ascii_isxdigit(c)) digits += c;
  }
  if (digits.size() % 2 != 0) digits.pop_back();
  return absl::HexStringToBytes(digits);
}

}  // namespace vit
