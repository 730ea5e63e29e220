#include "core/weights/state_dict.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/weights/tensor_bytes.h"

namespace vit {
namespace {

using Kind = PickleValue::Kind;

// Where scripts put it, the likelier first; averaged weights only for want of others.
constexpr const char* kKeys[] = {"state_dict", "model", "model_state_dict", "module"};
constexpr const char* kAveragedKeys[] = {"model_ema", "state_dict_ema"};

struct Found {
  std::string key;
  const PickleValue* dict = nullptr;
};

// As in Python, the last of equal keys counts. Null where there is none.
const PickleValue* Lookup(const PickleValue& dict, absl::string_view key) {
  for (size_t i = dict.items.size(); i >= 2; i -= 2) {
    const PickleValue& candidate = *dict.items[i - 2];
    if (candidate.kind == Kind::kText && candidate.text == key) return dict.items[i - 1];
  }
  return nullptr;
}

bool HoldsTensors(const PickleValue& dict) {
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    if (dict.items[i]->kind == Kind::kText && dict.items[i + 1]->kind == Kind::kTensor) return true;
  }
  return false;
}

// The state dict in `value`, looked for at most `depth` dicts further down.
Found Search(const PickleValue& value, const std::string& key, int depth) {
  if (value.kind != Kind::kDict) return {};
  const auto search = [&](absl::Span<const char* const> names) -> Found {
    for (const char* const name : names) {
      const PickleValue* const inner = depth > 0 ? Lookup(value, name) : nullptr;
      if (inner == nullptr) continue;
      Found found = Search(*inner, key.empty() ? name : absl::StrCat(key, ".", name), depth - 1);
      if (found.dict != nullptr) return found;
    }
    return {};
  };
  // Beside a wrapped one there may be lone tensors, such as a step count.
  if (Found found = search(kKeys); found.dict != nullptr) return found;
  if (HoldsTensors(value)) return {key, &value};
  return search(kAveragedKeys);
}

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

// Takes a prefix away that all names have and more beside. Wrappers may be within each other, in
// either order.
void StripCommonPrefixes(std::map<std::string, const PickleTensor*>* tensors) {
  for (const absl::string_view prefix : {"module.", "_orig_mod.", "module."}) {
    bool common = true;
    for (const auto& [name, tensor] : *tensors)
      common = common && absl::StartsWith(name, prefix) && name.size() > prefix.size();
    if (!common) continue;
    std::map<std::string, const PickleTensor*> stripped;
    for (const auto& [name, tensor] : *tensors) stripped[name.substr(prefix.size())] = tensor;
    tensors->swap(stripped);
  }
}

}  // namespace

absl::StatusOr<StateDict> FindStateDict(const PickleValue& top) {
  if (top.kind != Kind::kDict) {
    return absl::InvalidArgumentError(
        "the file holds no dict; save model.state_dict() and not the model or a tensor");
  }
  const Found found = Search(top, "", /*depth=*/2);
  if (found.dict == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no state dict: the file holds ", SomeKeys(top),
        "; looked for tensors at its top and under 'state_dict', 'model', 'model_state_dict' and "
        "'module'. Save that part alone, with torch.save(checkpoint[KEY], ...)"));
  }
  StateDict result;
  result.key = found.key;
  for (size_t i = 0; i < found.dict->items.size(); i += 2) {
    const PickleValue& name = *found.dict->items[i];
    const PickleValue& value = *found.dict->items[i + 1];
    if (name.kind != Kind::kText || value.kind != Kind::kTensor) continue;
    if (name.text.empty() || !IsPrintableUtf8(name.text)) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", Quoted(name.text), ": its name is empty or no UTF-8 text"));
    }
    result.tensors[std::string(name.text)] = value.tensor;
  }
  StripCommonPrefixes(&result.tensors);
  return result;
}

}  // namespace vit
