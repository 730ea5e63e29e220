#include "proto/model_ref.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace vit {
namespace {

constexpr absl::string_view kRun = "run:", kModel = "model:";
constexpr size_t kMaxNameLength = 64;

std::string Numbered(absl::string_view name, int64_t number) {
  return number == ModelRef::kServed ? std::string(name) : absl::StrCat(name, "@", number);
}

}  // namespace

absl::Status CheckModelName(absl::string_view name) {
  const bool well_formed = !name.empty() && name.size() <= kMaxNameLength &&
                           absl::ascii_isalnum(name.front()) &&
                           std::all_of(name.begin(), name.end(), [](char c) {
                             return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                           });
  if (!well_formed) {
    return absl::InvalidArgumentError(
        absl::StrCat("model name '", name, "': expected 1 to ", kMaxNameLength,
                     " letters, digits, '.', '_' and '-', the first a letter or digit"));
  }
  if (name == "latest" || name == "run") {
    return absl::InvalidArgumentError(
        absl::StrCat("model name '", name, "' has another meaning; choose another name"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModelRef> ModelRef::Parse(absl::string_view text) {
  ModelRef ref;
  if (text.empty() || text == "latest") return ref;
  absl::string_view rest = text;
  ref.kind = absl::ConsumePrefix(&rest, kRun) ? Kind::kRun : Kind::kModel;
  if (ref.kind == Kind::kModel) absl::ConsumePrefix(&rest, kModel);
  if (ref.kind == Kind::kRun) {
    // A run's name may have an @ in it; only a number after the last one is a step.
    const size_t at = rest.rfind('@');
    int64_t step;
    if (at != absl::string_view::npos && absl::SimpleAtoi(rest.substr(at + 1), &step) &&
        step >= 0) {
      ref.number = step;
      rest = rest.substr(0, at);
    }
    ref.name = std::string(rest);
    if (!ref.name.empty()) return ref;
    return absl::InvalidArgumentError(
        absl::StrCat("model '", text, "' names no run; expected run:ID"));
  }
  const size_t at = rest.find('@');
  ref.name = std::string(rest.substr(0, at));
  const absl::Status status = CheckModelName(ref.name);
  if (!status.ok()) return status;
  if (at == absl::string_view::npos) return ref;
  if (!absl::SimpleAtoi(rest.substr(at + 1), &ref.number) || ref.number < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model '", text, "': '", rest.substr(at + 1), "' is not a version number"));
  }
  return ref;
}

ModelRef ModelRef::Run(std::string id, int64_t step) {
  return {.kind = Kind::kRun, .name = std::move(id), .number = step};
}

ModelRef ModelRef::Model(std::string name, int64_t version) {
  return {.kind = Kind::kModel, .name = std::move(name), .number = version};
}

std::string ModelRef::ToString() const {
  switch (kind) {
    case Kind::kLatest:
      return "latest";
    case Kind::kRun:
      return absl::StrCat(kRun, Numbered(name, number));
    default:
      return Numbered(name, number);
  }
}

std::string ModelRef::ToPrefixedString() const {
  return kind == Kind::kModel ? absl::StrCat(kModel, ToString()) : ToString();
}

bool IsPrefixedModelRef(absl::string_view text) {
  return absl::StartsWith(text, kRun) || absl::StartsWith(text, kModel);
}

}  // namespace vit
