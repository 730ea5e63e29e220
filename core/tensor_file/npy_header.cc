#include "core/tensor_file/npy_header.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/bounded_reader.h"
#include "core/base/status.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

constexpr absl::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxTextBytes = 1 << 16;

absl::Status Bad(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("npy header: ", why));
}

// Returns the type that a descr such as "<f4" stands for.
absl::StatusOr<at::ScalarType> ParseDescr(absl::string_view descr) {
  static constexpr std::pair<absl::string_view, at::ScalarType> kTypes[] = {
      {"f2", at::kHalf},  {"f4", at::kFloat},    {"f8", at::kDouble}, {"i1", at::kChar},
      {"i2", at::kShort}, {"i4", at::kInt},      {"i8", at::kLong},   {"u1", at::kByte},
      {"b1", at::kBool},  {"V2", at::kBFloat16},
  };
  const absl::string_view kind = descr.empty() ? descr : descr.substr(1);
  const auto* const known = std::find_if(std::begin(kTypes), std::end(kTypes),
                                         [&](const auto& type) { return type.first == kind; });
  if (absl::string_view("<>=|").find(descr.empty() ? ' ' : descr[0]) == absl::string_view::npos ||
      known == std::end(kTypes)) {
    return Bad(absl::StrCat("unsupported dtype ", Quoted(descr),
                            "; convert the array, for example with .astype('float32')"));
  }
  const size_t item_bytes = c10::elementSize(known->second);
  if (descr[0] == '>' && item_bytes > 1) {
    return Bad(absl::StrCat("dtype ", Quoted(descr),
                            " is big-endian; convert the array with .astype('<", kind, "')"));
  }
  return known->second;
}

// Reads the dict's text from left to right.
class DictReader {
 public:
  explicit DictReader(absl::string_view text) : rest_(text) {}

  // {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } and white space after it.
  absl::StatusOr<NpyHeader> Read() {
    NpyHeader header;
    std::set<std::string> seen;
    if (!Consume("{")) return Bad("it is not a dict");
    while (!Consume("}")) {
      VIT_ASSIGN_OR_RETURN(const absl::string_view key, String());
      if (!seen.insert(std::string(key)).second) {
        return Bad(absl::StrCat(Quoted(key), " is given twice"));
      }
      if (!Consume(":")) return Bad(absl::StrCat("no : after ", Quoted(key)));
      if (key == "descr") {
        if (Peek() == '[') {
          return Bad("it is a structured array; save each of its fields as an array");
        }
        VIT_ASSIGN_OR_RETURN(const absl::string_view descr, String());
        VIT_ASSIGN_OR_RETURN(header.type, ParseDescr(descr));
      } else if (key == "fortran_order") {
        header.fortran_order = Consume("True");
        if (!header.fortran_order && !Consume("False")) {
          return Bad("fortran_order is neither True nor False");
        }
      } else if (key == "shape") {
        VIT_ASSIGN_OR_RETURN(header.shape, Shape());
      } else {
        return Bad(absl::StrCat("unknown key ", Quoted(key)));
      }
      if (!Consume(",") && Peek() != '}') return Bad("no , between two keys");
    }
    if (seen.size() != 3) return Bad("it lacks one of descr, fortran_order and shape");
    SkipSpace();
    if (!rest_.empty()) return Bad("text follows the dict");
    return header;
  }

 private:
  void SkipSpace() {
    while (!rest_.empty() && absl::ascii_isspace(static_cast<unsigned char>(rest_.front()))) {
      rest_.remove_prefix(1);
    }
  }
  char Peek() {
    SkipSpace();
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool Consume(absl::string_view token) {
    SkipSpace();
    if (rest_.substr(0, token.size()) != token) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  // In either kind of quotes, without escapes: no name here needs one.
  absl::StatusOr<absl::string_view> String() {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') return Bad("expected a quoted word");
    const size_t end = rest_.find(quote, 1);
    if (end == absl::string_view::npos) return Bad("a quoted word does not end");
    const absl::string_view text = rest_.substr(1, end - 1);
    if (text.find('\\') != absl::string_view::npos) return Bad("a quoted word with an escape");
    rest_.remove_prefix(end + 1);
    return text;
  }

  absl::StatusOr<std::vector<int64_t>> Shape() {
    std::vector<int64_t> shape;
    if (!Consume("(")) return Bad("shape is not a tuple");
    bool comma = true;
    while (!Consume(")")) {
      if (!comma) return Bad("shape: no , between two dimensions");
      size_t digits = 0;
      Peek();
      while (digits < rest_.size() &&
             absl::ascii_isdigit(static_cast<unsigned char>(rest_[digits]))) {
        ++digits;
      }
      int64_t size;
      if (!absl::SimpleAtoi(rest_.substr(0, digits), &size)) {
        return Bad(absl::StrCat("shape: ", Quoted(rest_.substr(0, 24)),
                                " does not begin with a whole number of at least 0, below 2^63"));
      }
      if (shape.size() == kMaxDimensions) {
        return Bad(absl::StrCat("more than ", kMaxDimensions, " dimensions"));
      }
      rest_.remove_prefix(digits);
      shape.push_back(size);
      comma = Consume(",");
    }
    // (3) is a number in Python, not a tuple.
    if (shape.size() == 1 && !comma) return Bad("shape is not a tuple");
    return shape;
  }

  absl::string_view rest_;
};

}  // namespace

absl::StatusOr<size_t> NpyLengthBytes(absl::string_view prefix) {
  if (prefix.size() != kNpyPrefixBytes || prefix.substr(0, kMagic.size()) != kMagic) {
    return Bad("it does not begin as a NumPy array does");
  }
  const int major = static_cast<uint8_t>(prefix[kMagic.size()]);
  const int minor = static_cast<uint8_t>(prefix[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    return Bad(
        absl::StrCat("version ", major, ".", minor, " is not supported; 1.0, 2.0 and 3.0 are"));
  }
  return major == 1 ? 2 : 4;
}

absl::StatusOr<size_t> NpyTextBytes(absl::string_view length) {
  BoundedReader reader(length);
  const uint32_t bytes = length.size() == 2 ? reader.U16Le() : reader.U32Le();
  if (bytes > kMaxTextBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("npy header: ", bytes, " bytes long; at most ", kMaxTextBytes, " are read"));
  }
  return bytes;
}

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view text) { return DictReader(text).Read(); }

}  // namespace vit
