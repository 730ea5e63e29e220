#include "core/data/sources/tar/brace_pattern.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace vit {
namespace {

constexpr size_t kMostNames = 100'000;

absl::Status TooMany() {
  return absl::InvalidArgumentError(
      absl::StrCat("the pattern stands for more than ", kMostNames, " names"));
}

bool IsNumber(absl::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// Expands the text between braces: "0..9" or "a,b".
absl::StatusOr<std::vector<std::string>> Choices(absl::string_view inside) {
  const size_t dots = inside.find("..");
  if (dots == absl::string_view::npos) {
    std::vector<std::string> choices = absl::StrSplit(inside, ',');
    if (choices.size() < 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("'{", inside, "}' is not a series; expected {000..009} or {a,b}"));
    }
    return choices;
  }
  const absl::string_view first = inside.substr(0, dots), last = inside.substr(dots + 2);
  int64_t begin = 0, end = 0;
  if (!IsNumber(first) || !IsNumber(last) || !absl::SimpleAtoi(first, &begin) ||
      !absl::SimpleAtoi(last, &end) || begin > end) {
    return absl::InvalidArgumentError(
        absl::StrCat("'{", inside, "}' is not a series of rising numbers; expected {000..009}"));
  }
  if (end - begin >= static_cast<int64_t>(kMostNames)) return TooMany();
  std::vector<std::string> choices;
  for (int64_t i = begin; i <= end; ++i) {
    std::string number = absl::StrCat(i);
    if (number.size() < first.size()) number.insert(0, first.size() - number.size(), '0');
    choices.push_back(std::move(number));
  }
  return choices;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ExpandBraces(absl::string_view pattern) {
  std::vector<std::string> names = {""};
  while (!pattern.empty()) {
    const size_t brace = pattern.find_first_of("{}");
    for (std::string& name : names) absl::StrAppend(&name, pattern.substr(0, brace));
    if (brace == absl::string_view::npos) break;
    const size_t close = pattern.find_first_of("{}", brace + 1);
    if (pattern[brace] == '}' || close == absl::string_view::npos || pattern[close] == '{') {
      return absl::InvalidArgumentError(
          absl::StrCat("'", pattern.substr(brace), "' has an unmatched brace"));
    }
    VIT_ASSIGN_OR_RETURN(const std::vector<std::string> choices,
                         Choices(pattern.substr(brace + 1, close - brace - 1)));
    if (choices.size() > kMostNames / names.size()) return TooMany();
    std::vector<std::string> longer;
    longer.reserve(names.size() * choices.size());
    for (const std::string& name : names) {
      for (const std::string& choice : choices) longer.push_back(absl::StrCat(name, choice));
    }
    names = std::move(longer);
    pattern.remove_prefix(close + 1);
  }
  return names;
}

}  // namespace vit
