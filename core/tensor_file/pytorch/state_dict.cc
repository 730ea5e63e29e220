#include "core/tensor_file/pytorch/state_dict.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/tensor_file/tensor_bytes.h"

namespace vit {
namespace {

using Kind = PickleValue::Kind;

constexpr int kMaxDepth = 2;
// The most dict items that are visited. A dict that is in another many times is visited each time.
constexpr int64_t kMaxItems = 500'000;

class Search {
 public:
  // `prefix`: the keys on the way to `dict`, each followed by a dot.
  absl::Status Visit(const PickleValue& dict, const std::string& prefix, int depth) {
    // As in Python, the last of equal keys counts.
    std::map<absl::string_view, const PickleValue*> items;
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      if (++visited_ > kMaxItems) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "more than ", kMaxItems, " values in nested dicts; save the state dict alone"));
      }
      if (dict.items[i]->kind == Kind::kText) items[dict.items[i]->text] = dict.items[i + 1];
    }
    for (const auto& [key, value] : items) {
      if (value->kind == Kind::kTensor) {
        VIT_RETURN_IF_ERROR(Add(prefix, key, *value->tensor));
      } else if (value->kind == Kind::kDict && depth < kMaxDepth) {
        VIT_RETURN_IF_ERROR(Visit(*value, absl::StrCat(prefix, key, "."), depth + 1));
      }
    }
    return absl::OkStatus();
  }

  StateDicts found;

 private:
  absl::Status Add(const std::string& prefix, absl::string_view key, const PickleTensor& tensor) {
    const std::string name = absl::StrCat(prefix, key);
    if (key.empty() || !IsPrintableUtf8(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(name), ": its name is empty or not UTF-8 text"));
    }
    if (!found.tensors.emplace(name, &tensor).second) {
      return absl::InvalidArgumentError(absl::StrCat("two tensors are called ", Quoted(name)));
    }
    if (!prefix.empty()) found.sections.insert(prefix);
    return absl::OkStatus();
  }

  int64_t visited_ = 0;
};

// The first keys of a dict, for a message.
std::string SomeKeys(const PickleValue& dict) {
  constexpr int kShown = 8;
  std::string keys;
  int shown = 0;
  for (size_t i = 0; i < dict.items.size() && shown < kShown; i += 2) {
    if (dict.items[i]->kind != Kind::kText) continue;
    absl::StrAppend(&keys, shown++ == 0 ? "" : ", ", Quoted(dict.items[i]->text));
  }
  return keys.empty() ? "nothing with a name" : keys;
}

}  // namespace

absl::StatusOr<StateDicts> FindStateDicts(const PickleValue& top) {
  if (top.kind != Kind::kDict) {
    return absl::InvalidArgumentError(
        "the file holds no dict; save model.state_dict(), not the model or a tensor");
  }
  Search search;
  VIT_RETURN_IF_ERROR(search.Visit(top, "", /*depth=*/0));
  if (search.found.tensors.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no state dict: the file holds ", SomeKeys(top),
                     " and no named tensors; save model.state_dict()"));
  }
  return std::move(search.found);
}

}  // namespace vit
