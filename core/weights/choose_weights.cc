#include "core/weights/choose_weights.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/tensor_file/some_names.h"
#include "core/weights/layouts/layout_names.h"

namespace vit {
namespace {

using ::vit::v1::WEIGHTS_CHOICE_AVERAGED;
using ::vit::v1::WEIGHTS_CHOICE_RAW;
using ::vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;

// The patch projection in each layout.
constexpr const char* kAnchors[] = {
    "patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight",
    "conv_proj.weight",        "patch_proj.weight",
    "patchify.weight",         "embedding/kernel"};

// The dicts under which scripts keep a model's weights, in order of preference, as in
// timm.models.load_state_dict; they say nothing about the model.
constexpr const char* kContainers[] = {"state_dict_ema",   "model_ema", "state_dict", "model",
                                       "model_state_dict", "module",    "weights",    "params"};
constexpr char kLightningRaw[] = "current_model_state.";  // the state_dict beside it is averaged

struct Candidate {
  std::string path;   // the prefix of its names
  std::string shown;  // without containers
  bool averaged = false;
};

bool IsAveragedName(absl::string_view component) {
  static const auto* const words =
      new std::set<std::string>{"ema", "swa", "averaged", "average", "avg", "shadow", "polyak"};
  const std::vector<std::string> parts = absl::StrSplit(absl::AsciiStrToLower(component), '_');
  return std::any_of(parts.begin(), parts.end(),
                     [](const std::string& part) { return words->contains(part); });
}

std::vector<std::string> Components(absl::string_view path) {
  return absl::StrSplit(path, absl::ByAnyChar("./"), absl::SkipEmpty());
}

bool IsAveraged(const TensorFile& file, const std::string& path) {
  for (const std::string& component : Components(path)) {
    if (IsAveragedName(component)) return true;
  }
  // torch.optim.swa_utils.AveragedModel counts beside its module.
  const size_t module = path.find("module.");
  if (module != std::string::npos && file.tensors.contains(path.substr(0, module) + "n_averaged")) {
    return true;
  }
  return file.sections.contains(kLightningRaw) && absl::StartsWith(path, "state_dict.");
}

// Moments and the like, which have the names of the weights they belong to.
bool IsOfOptimizer(const std::string& path) {
  const std::vector<std::string> components = Components(path);
  return !components.empty() && absl::StartsWith(components[0], "opt") &&
         std::find(components.begin(), components.end(), "target") == components.end();
}

// Returns the path without the containers among its dicts.
std::string Shown(const TensorFile& file, const std::string& path) {
  std::string section;
  for (const std::string& each : file.sections) {
    if (absl::StartsWith(path, each) && each.size() > section.size()) section = each;
  }
  std::string shown;
  for (const std::string& component : Components(section)) {
    const bool container = IsAveragedName(component) ||
                           absl::StrCat(component, ".") == kLightningRaw ||
                           std::find(std::begin(kContainers), std::end(kContainers), component) !=
                               std::end(kContainers);
    if (!container) absl::StrAppend(&shown, component, ".");
  }
  return absl::StrCat(shown, path.substr(section.size()));
}

// Removes what belongs to the layout of `anchor` itself: transformers' name for the model, Flax's
// names for the parameters.
std::string WithoutLayout(absl::string_view anchor, std::string shown) {
  if (absl::StartsWith(anchor, "embeddings.")) {
    for (const absl::string_view model : {"vit.", "deit.", "dinov2.", "dinov2_with_registers."}) {
      absl::string_view rest = shown;
      if (absl::ConsumeSuffix(&rest, model) && (rest.empty() || rest.back() == '.')) {
        return std::string(rest);
      }
    }
  } else if (absl::StrContains(anchor, '/')) {
    for (const absl::string_view parameters : {"opt/target/", "optimizer/target/", "target/"}) {
      shown = std::string(absl::StripPrefix(shown, parameters));
    }
    shown = std::string(absl::StripPrefix(shown, "params/"));
  }
  return shown;
}

std::vector<Candidate> FindCandidates(const TensorFile& file) {
  std::vector<Candidate> candidates;
  for (const auto& [name, tensor] : file.tensors) {
    for (const absl::string_view anchor : kAnchors) {
      absl::string_view path = name;
      if (!absl::ConsumeSuffix(&path, anchor)) continue;
      if (!path.empty() && path.back() != '.' && path.back() != '/') continue;
      const std::string full(path);
      candidates.push_back(
          {full, WithoutLayout(anchor, Shown(file, full)), IsAveraged(file, full)});
    }
  }
  const bool any = std::any_of(candidates.begin(), candidates.end(),
                               [](const Candidate& c) { return !IsOfOptimizer(c.path); });
  if (any) std::erase_if(candidates, [](const Candidate& c) { return IsOfOptimizer(c.path); });
  return candidates;
}

std::string Quoted(const std::string& path) {
  return path.empty() ? "no prefix ('.')" : absl::StrCat("'", path, "'");
}

std::string List(const std::vector<Candidate>& candidates) {
  return absl::StrJoin(candidates, ", ", [](std::string* out, const Candidate& candidate) {
    absl::StrAppend(out, Quoted(candidate.path));
  });
}

// Keeps the candidates that `asked` means: those with exactly this prefix, else those that begin
// with it.
absl::Status KeepPrefix(const std::string& asked, std::vector<Candidate>* candidates) {
  if (asked.empty()) return absl::OkStatus();
  std::string prefix = asked == "." ? "" : asked;
  if (!prefix.empty() && prefix.back() != '.' && prefix.back() != '/') prefix += '.';
  std::vector<Candidate> same, below;
  for (const Candidate& candidate : *candidates) {
    if (candidate.path == prefix || candidate.shown == prefix) {
      same.push_back(candidate);
    } else if (!prefix.empty() && (absl::StartsWith(candidate.path, prefix) ||
                                   absl::StartsWith(candidate.shown, prefix))) {
      below.push_back(candidate);
    }
  }
  if (same.empty()) same = std::move(below);
  if (same.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("prefix '", asked, "': no model's names begin with it; the file has ",
                     candidates->empty() ? "no known model" : List(*candidates)));
  }
  *candidates = std::move(same);
  return absl::OkStatus();
}

bool AnyAveraged(const std::vector<Candidate>& candidates) {
  return std::any_of(candidates.begin(), candidates.end(),
                     [](const Candidate& c) { return c.averaged; });
}

// Keeps either the averaged or the raw candidates.
absl::Status KeepKind(vit::v1::WeightsChoice asked, std::vector<Candidate>* candidates) {
  if (asked == WEIGHTS_CHOICE_UNSPECIFIED && !AnyAveraged(*candidates)) return absl::OkStatus();
  const bool averaged = asked != WEIGHTS_CHOICE_RAW;
  std::vector<Candidate> kept;
  for (const Candidate& candidate : *candidates) {
    if (candidate.averaged == averaged) kept.push_back(candidate);
  }
  if (kept.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        averaged ? "averaged" : "raw", " weights are requested, but the file has none; it has ",
        averaged ? "" : "averaged ones, at ", List(*candidates)));
  }
  *candidates = std::move(kept);
  return absl::OkStatus();
}

// Returns the only candidate left or, if several have the same prefix, the first in the order of
// containers.
absl::StatusOr<Candidate> TheOnly(std::vector<Candidate> candidates) {
  const auto rank = [](const Candidate& candidate) {
    const std::vector<std::string> components = Components(candidate.path);
    const std::string first = components.empty() ? "" : components[0];
    return std::find(std::begin(kContainers), std::end(kContainers), first) -
           std::begin(kContainers);
  };
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) { return rank(a) < rank(b); });
  for (const Candidate& other : candidates) {
    if (other.shown != candidates.front().shown) {
      return absl::InvalidArgumentError(
          absl::StrCat("the file holds several models, at ", List(candidates),
                       "; choose one with --prefix (for a run, --set init_prefix=...)"));
    }
  }
  return candidates.front();
}

// Takes the head, and for transformers the blocks, from above `path` if they are not below it.
void TakeFromAbove(const TensorFile& file, std::string path, std::set<std::string>* taken,
                   TensorMap* tensors) {
  const auto has = [&](const auto& predicate) {
    return std::any_of(tensors->begin(), tensors->end(),
                       [&](const auto& item) { return predicate(item.first); });
  };
  const auto is_block = [](const std::string& name) { return absl::StartsWith(name, "encoder."); };
  const bool needs_blocks =
      has([](const std::string& name) { return absl::StartsWith(name, "embeddings."); }) &&
      !has(is_block) &&
      !has([](const std::string& name) { return absl::StartsWith(name, "layers."); });
  bool needs_head = !has(IsHeadName);
  while (!path.empty() && absl::EndsWith(path, ".")) {
    const size_t dot = path.substr(0, path.size() - 1).rfind('.');
    path = dot == std::string::npos ? "" : path.substr(0, dot + 1);
    bool found = false;
    for (auto it = file.tensors.lower_bound(path);
         it != file.tensors.end() && absl::StartsWith(it->first, path); ++it) {
      const std::string name = it->first.substr(path.size());
      if (taken->contains(it->first)) continue;
      const bool of_head = IsHeadName(name) || absl::StartsWith(name, "fc_norm.");
      if ((needs_head && of_head) || (needs_blocks && is_block(name))) {
        found = found || IsHeadName(name);
        taken->insert(it->first);
        tensors->emplace(name, it->second);
      }
    }
    if (found) needs_head = false;
  }
}

void AddNotes(const TensorFile& file, const Candidate& taken, const std::vector<Candidate>& all,
              const std::set<std::string>& names, std::vector<std::string>* notes) {
  if (!taken.shown.empty()) {
    notes->push_back(absl::StrCat("used: the model at prefix '", taken.shown, "'"));
  }
  std::vector<Candidate> others;
  for (const Candidate& other : all) {
    if (other.path != taken.path) others.push_back(other);
  }
  if (taken.averaged) {
    notes->push_back(absl::StrCat(
        "used: the averaged weights", taken.path.empty() ? "" : ", " + Quoted(taken.path),
        others.empty() ? "" : absl::StrCat("; the file also has ", List(others))));
  } else if (!others.empty()) {
    notes->push_back(absl::StrCat("used: the weights ", Quoted(taken.path), "; the file also has ",
                                  List(others)));
  }
  std::vector<std::string> beside;
  for (const auto& [name, tensor] : file.tensors) {
    const bool of_other =
        std::any_of(others.begin(), others.end(), [&, &name = name](const Candidate& other) {
          return !other.path.empty() && absl::StartsWith(name, other.path);
        });
    if (!names.contains(name) && !of_other) beside.push_back(name);
  }
  if (!beside.empty()) {
    notes->push_back(absl::StrCat("not used, as it is outside the model: ", SomeNames(beside)));
  }
}

}  // namespace

absl::StatusOr<ChosenWeights> ChooseWeights(const TensorFile& file, const WeightChoice& asked) {
  const std::vector<Candidate> all = FindCandidates(file);
  ChosenWeights chosen;
  if (all.empty() && asked.prefix.empty()) {
    chosen.tensors = file.tensors;
    return chosen;
  }
  std::vector<Candidate> candidates = all;
  VIT_RETURN_IF_ERROR(KeepPrefix(asked.prefix, &candidates));
  VIT_RETURN_IF_ERROR(KeepKind(asked.weights, &candidates));
  VIT_ASSIGN_OR_RETURN(const Candidate taken, TheOnly(std::move(candidates)));
  std::set<std::string> names;
  for (const auto& [name, tensor] : file.tensors) {
    if (!absl::StartsWith(name, taken.path)) continue;
    // Without a prefix, skip what belongs to another model.
    const bool of_other = std::any_of(all.begin(), all.end(), [&, &name = name](const auto& other) {
      return other.path.size() > taken.path.size() && absl::StartsWith(name, other.path);
    });
    if (of_other) continue;
    names.insert(name);
    chosen.tensors.emplace(name.substr(taken.path.size()), tensor);
  }
  TakeFromAbove(file, taken.path, &names, &chosen.tensors);
  chosen.prefix = asked.prefix == "." ? asked.prefix : taken.shown;
  if (taken.averaged) {
    chosen.weights = WEIGHTS_CHOICE_AVERAGED;
  } else if (AnyAveraged(all) || asked.weights != WEIGHTS_CHOICE_UNSPECIFIED) {
    chosen.weights = WEIGHTS_CHOICE_RAW;
  }
  AddNotes(file, taken, all, names, &chosen.notes);
  return chosen;
}

}  // namespace vit
