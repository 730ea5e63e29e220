#include "core/data/sources/class_names.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/base/utf8.h"

namespace vit {
namespace {

// Maps `text` with utf8proc; empty if it is not UTF-8.
std::string Map(absl::string_view text, int options, utf8proc_custom_func custom) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size = utf8proc_map_custom(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &mapped,
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | options), custom,
      nullptr);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&free)> owner(mapped, &free);
  return size < 0 ? "" : std::string(reinterpret_cast<const char*>(mapped), size);
}

utf8proc_int32_t OneKindOfSpace(utf8proc_int32_t code_point, void*) {
  return utf8proc_category(code_point) == UTF8PROC_CATEGORY_ZS ? ' ' : code_point;
}

// Whether `code_point` is white space, or a separator or joiner without width.
bool IsOuterSpace(utf8proc_int32_t code_point) {
  constexpr utf8proc_int32_t kZeroWidthSpace = 0x200B, kWordJoiner = 0x2060,
                             kByteOrderMark = 0xFEFF;
  return utf8proc_category(code_point) == UTF8PROC_CATEGORY_ZS || code_point == kZeroWidthSpace ||
         code_point == kWordJoiner || code_point == kByteOrderMark;
}

// Returns `text`, which is UTF-8, without IsOuterSpace characters at both ends.
absl::string_view Trim(absl::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t code_point;
    const utf8proc_ssize_t size =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                         static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    if (size <= 0) return text;
    if (!IsOuterSpace(code_point)) {
      begin = std::min(begin, at);
      end = at + size;
    }
    at += size;
  }
  return begin < end ? text.substr(begin, end - begin) : absl::string_view();
}

}  // namespace

std::string NormalizeClassName(absl::string_view name) {
  name = absl::StripAsciiWhitespace(name);
  if (!IsPrintableUtf8(name)) return "";
  return Map(Trim(name), 0, nullptr);
}

namespace {

// Whether `name` is a number: digits, in version 2 optionally with a sign and a fraction.
bool IsNumber(absl::string_view name, int listing_version) {
  if (listing_version == 1 && name.size() > 1 && name[0] == '0') return false;
  if (listing_version > 1) absl::ConsumePrefix(&name, "-");
  const size_t point = listing_version > 1 ? name.find('.') : absl::string_view::npos;
  const auto are_digits = [](absl::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  };
  if (point == absl::string_view::npos) return are_digits(name);
  return are_digits(name.substr(0, point)) && are_digits(name.substr(point + 1));
}

// Whether the number `a` is below `b`; numbers can be of any length.
bool IsBelow(absl::string_view a, absl::string_view b) {
  const bool a_negative = absl::ConsumePrefix(&a, "-"), b_negative = absl::ConsumePrefix(&b, "-");
  if (a_negative != b_negative) return a_negative;
  if (a_negative) std::swap(a, b);
  const auto split = [](absl::string_view number) {
    const size_t point = std::min(number.find('.'), number.size());
    absl::string_view whole = number.substr(0, point);
    whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
    absl::string_view fraction = number.substr(std::min(point + 1, number.size()));
    while (absl::ConsumeSuffix(&fraction, "0")) {
    }
    return std::make_pair(whole, fraction);
  };
  const auto [x, x_fraction] = split(a);
  const auto [y, y_fraction] = split(b);
  if (x.size() != y.size()) return x.size() < y.size();
  return x != y ? x < y : x_fraction < y_fraction;
}

}  // namespace

std::vector<std::string> OrderClassNames(std::vector<std::string> names, int listing_version) {
  const auto is_number = [&](const std::string& name) { return IsNumber(name, listing_version); };
  std::sort(names.begin(), names.end());  // char_traits<char> compares as unsigned bytes
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (std::all_of(names.begin(), names.end(), is_number)) {
    std::stable_sort(names.begin(), names.end(), IsBelow);
  }
  return names;
}

std::string ClassTable::Key(absl::string_view name) const {
  if (listing_version_ == 1) return IsPrintableUtf8(name) ? std::string(name) : "";
  return Map(NormalizeClassName(name), UTF8PROC_IGNORE, &OneKindOfSpace);
}

std::string ClassTable::Shown(const Spelling& spelling) const {
  return absl::StrCat("'", absl::CEscape(spelling.name), "' (", spelling.place, ")");
}

absl::StatusOr<int32_t> ClassTable::Add(DataSplit split, absl::string_view name,
                                        absl::FunctionRef<std::string()> place) {
  const auto known = by_name_[split].find(std::string(name));
  if (known != by_name_[split].end()) return known->second;
  const std::string key = Key(name);
  if (key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(place(), ": the class name is '", absl::CEscape(name),
                     "'; expected text in UTF-8 without control characters"));
  }
  const auto [entry, is_new] = by_key_.emplace(key, static_cast<int32_t>(classes_.size()));
  if (is_new) classes_.emplace_back();
  Spelling& spelling = classes_[entry->second].spellings[split];
  const Spelling now{std::string(name), place()};
  if (!spelling.name.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the class names ", Shown(spelling), " and ", Shown(now),
        " look the same: they differ only in the encoding of their characters or in white space; "
        "give both the same name, or different names"));
  }
  spelling = now;
  by_name_[split].emplace(now.name, entry->second);
  return entry->second;
}

absl::StatusOr<ClassTable::Order> ClassTable::Finish() const {
  const auto name_of = [&](const Class& one) {
    const std::string& name = one.spellings.train.name;
    return listing_version_ == 1 ? name : NormalizeClassName(name);
  };
  Order order;
  for (const Class& one : classes_) {
    if (one.spellings.train.name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(one.spellings.validation.place,
                                                     ": no training image has the class '",
                                                     one.spellings.validation.name, "'"));
    }
    order.names.push_back(name_of(one));
  }
  order.names = OrderClassNames(std::move(order.names), listing_version_);
  std::unordered_map<std::string, int32_t> labels;
  for (const std::string& name : order.names) {
    labels.emplace(name, static_cast<int32_t>(labels.size()));
  }
  for (const Class& one : classes_) order.labels.push_back(labels.at(name_of(one)));
  return order;
}

}  // namespace vit
