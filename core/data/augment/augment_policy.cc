#include "core/data/augment/augment_policy.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "core/base/status.h"

namespace vit::augment {
namespace {

constexpr double kUnlimited = std::numeric_limits<double>::max();

// The names that timm chooses from, in its order.
constexpr absl::string_view kRandNames[] = {
    "AutoContrast", "Equalize",    "Invert", "Rotate",        "Posterize",
    "Solarize",     "SolarizeAdd", "Color",  "Contrast",      "Brightness",
    "Sharpness",    "ShearX",      "ShearY", "TranslateXRel", "TranslateYRel"};
constexpr absl::string_view kRandIncreasingNames[] = {"AutoContrast",
                                                      "Equalize",
                                                      "Invert",
                                                      "Rotate",
                                                      "PosterizeIncreasing",
                                                      "SolarizeIncreasing",
                                                      "SolarizeAdd",
                                                      "ColorIncreasing",
                                                      "ContrastIncreasing",
                                                      "BrightnessIncreasing",
                                                      "SharpnessIncreasing",
                                                      "ShearX",
                                                      "ShearY",
                                                      "TranslateXRel",
                                                      "TranslateYRel"};
constexpr absl::string_view kRand3aNames[] = {"SolarizeIncreasing", "Desaturate", "GaussianBlur"};
constexpr absl::string_view kAugMixNames[] = {"AutoContrast",
                                              "ColorIncreasing",
                                              "ContrastIncreasing",
                                              "BrightnessIncreasing",
                                              "SharpnessIncreasing",
                                              "Equalize",
                                              "Rotate",
                                              "PosterizeIncreasing",
                                              "SolarizeIncreasing",
                                              "ShearX",
                                              "ShearY",
                                              "TranslateXRel",
                                              "TranslateYRel"};

// timm's weighted sets.
constexpr std::pair<absl::string_view, double> kWeighted[] = {
    {"Rotate", 3},
    {"ShearX", 2},
    {"ShearY", 2},
    {"TranslateXRel", 1},
    {"TranslateYRel", 1},
    {"ColorIncreasing", 0.25},
    {"SharpnessIncreasing", 0.25},
    {"AutoContrast", 0.25},
    {"SolarizeIncreasing", 0.05},
    {"SolarizeAdd", 0.05},
    {"ContrastIncreasing", 0.05},
    {"BrightnessIncreasing", 0.05},
    {"Equalize", 0.05},
    {"PosterizeIncreasing", 0.05},
    {"Invert", 0.05},
};
constexpr std::pair<absl::string_view, double> kWeighted3a[] = {
    {"SolarizeIncreasing", 6},
    {"Desaturate", 6},
    {"GaussianBlur", 6},
    {"Rotate", 3},
    {"ShearX", 2},
    {"ShearY", 2},
    {"PosterizeIncreasing", 1},
    {"AutoContrast", 1},
    {"ColorIncreasing", 1},
    {"SharpnessIncreasing", 1},
    {"ContrastIncreasing", 1},
    {"BrightnessIncreasing", 1},
    {"Equalize", 1},
    {"Invert", 1},
};

// A key that may follow a policy's name: letters, then a number.
struct Section {
  absl::string_view key;
  double low;
  double high;
  double value;  // the default until a value is read
  bool whole;
  bool is_set = false;
};

absl::Status Bad(absl::string_view part, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", part, "\" ", why));
}

absl::Status ReadSection(absl::string_view part, absl::Span<Section> sections) {
  const auto digit = std::find_if(part.begin(), part.end(), absl::ascii_isdigit);
  const absl::string_view key = part.substr(0, digit - part.begin());
  const absl::string_view text = part.substr(key.size());
  const auto section = std::find_if(sections.begin(), sections.end(),
                                    [&](const Section& s) { return s.key == key; });
  if (section == sections.end()) {
    const auto name = [](std::string* out, const Section& s) { absl::StrAppend(out, s.key); };
    return Bad(part, absl::StrCat("is unknown; expected one of ",
                                  absl::StrJoin(sections, ", ", name), ", each with a number"));
  }
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || (section->whole && value != static_cast<int>(value)) ||
      !(value >= section->low && value <= section->high)) {
    return Bad(
        part,
        absl::StrCat("needs a ", section->whole ? "whole number" : "number", " from ", section->low,
                     section->high == kUnlimited ? " up" : absl::StrCat(" to ", section->high),
                     " after \"", key, "\""));
  }
  if (section->is_set) return Bad(part, absl::StrCat("is the second value of \"", key, "\""));
  section->is_set = true;
  section->value = value;
  return absl::OkStatus();
}

absl::Status ReadSections(absl::Span<const absl::string_view> parts, absl::Span<Section> sections) {
  for (const absl::string_view part : parts) VIT_RETURN_IF_ERROR(ReadSection(part, sections));
  return absl::OkStatus();
}

std::vector<PolicyStep> Steps(absl::Span<const absl::string_view> names, double probability,
                              double magnitude) {
  std::vector<PolicyStep> steps;
  steps.reserve(names.size());
  for (const absl::string_view name : names) {
    steps.push_back({FindTimmOperation(name), probability, magnitude});
  }
  return steps;
}

void SetWeightedSteps(absl::Span<const std::pair<absl::string_view, double>> weighted,
                      double probability, double magnitude, Policy* policy) {
  double sum = 0;
  for (const auto& [name, weight] : weighted) sum += weight;
  for (const auto& [name, weight] : weighted) {
    policy->steps.push_back({FindTimmOperation(name), probability, magnitude});
    policy->weights.push_back(weight / sum);
  }
}

absl::StatusOr<Policy> ParseRandAugment(absl::Span<const absl::string_view> parts) {
  absl::string_view set;
  Section sections[] = {{"m", 0, 100, 10, true},    {"n", 1, 100, 2, true},
                        {"p", 0, 1, 0.5, false},    {"mstd", 0, kUnlimited, 0, false},
                        {"mmax", 1, 100, 10, true}, {"inc", 0, 1, 0, true}};
  for (const absl::string_view part : parts) {
    if (!part.empty() && part[0] == 't') {
      if (part != "tweights" && part != "t3a" && part != "t3aw") {
        return Bad(part, "is not a set of operations; expected tweights, t3a or t3aw");
      }
      if (!set.empty()) return Bad(part, absl::StrCat("is the second set of operations"));
      set = part;
    } else if (part == "w0") {
      return Bad(part, "is no longer in timm; expected tweights, its current weighted set");
    } else {
      VIT_RETURN_IF_ERROR(ReadSection(part, absl::MakeSpan(sections)));
    }
  }
  const auto& [m, n, p, mstd, mmax, inc] = sections;
  Policy policy;
  policy.kind = Policy::Kind::kRandAugment;
  policy.count = static_cast<int>(n.value);
  policy.magnitude_max = mmax.value;
  policy.magnitude_uniform = mstd.value > 100;
  policy.magnitude_std = policy.magnitude_uniform ? 0 : mstd.value;
  if (set == "tweights") {
    SetWeightedSteps(kWeighted, p.value, m.value, &policy);
  } else if (set == "t3aw") {
    SetWeightedSteps(kWeighted3a, p.value, m.value, &policy);
  } else if (set == "t3a") {
    policy.steps = Steps(kRand3aNames, p.value, m.value);
  } else if (inc.value != 0) {
    policy.steps = Steps(kRandIncreasingNames, p.value, m.value);
  } else {
    policy.steps = Steps(kRandNames, p.value, m.value);
  }
  if (!policy.weights.empty() && policy.count > static_cast<int>(policy.steps.size())) {
    return Bad(absl::StrCat("n", policy.count),
               absl::StrCat("is more than the ", policy.steps.size(), " operations of ", set,
                            ", none of which is drawn twice"));
  }
  return policy;
}

absl::StatusOr<Policy> ParseAugMix(absl::Span<const absl::string_view> parts) {
  Section sections[] = {{"m", 0, 100, 3, true}, {"w", 1, 100, 3, true},
                        {"d", 0, 100, 0, true}, {"a", 0.01, 100, 1, false},
                        {"b", 0, 1, 0, true},   {"mstd", 0, 100, 0, false}};
  VIT_RETURN_IF_ERROR(ReadSections(parts, absl::MakeSpan(sections)));
  const auto& [m, w, d, a, b, mstd] = sections;
  Policy policy;
  policy.kind = Policy::Kind::kAugMix;
  policy.steps = Steps(kAugMixNames, 1, m.value);
  policy.width = static_cast<int>(w.value);
  policy.depth = static_cast<int>(d.value);
  policy.alpha = a.value;
  policy.blended = b.value != 0;
  policy.magnitude_uniform = !mstd.is_set;
  policy.magnitude_std = mstd.value;
  policy.translate_part = 0.3;
  return policy;
}

absl::StatusOr<Policy> ParseTimmAutoAugment(absl::string_view name,
                                            absl::Span<const absl::string_view> parts) {
  Section sections[] = {{"mstd", 0, 100, 0, false}};
  VIT_RETURN_IF_ERROR(ReadSections(parts, absl::MakeSpan(sections)));
  Policy policy;
  policy.kind = Policy::Kind::kSubPolicies;
  policy.sub_policies = TimmSubPolicies(name);
  policy.magnitude_std = sections[0].value;
  policy.goes_with_jitter = name == "3a";
  return policy;
}

Policy TrivialAugment() {
  Policy policy;
  policy.kind = Policy::Kind::kTrivial;
  for (const absl::string_view name :
       {"Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color",
        "Contrast", "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"}) {
    policy.steps.push_back({FindTrivialAugmentOperation(name)});
  }
  policy.levels = policy.magnitude_max = 30;
  policy.nearest_on_black = true;
  return policy;
}

}  // namespace

absl::StatusOr<Policy> ParsePolicy(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '-');
  const absl::string_view name = parts[0];
  const auto rest = absl::MakeConstSpan(parts).subspan(1);
  if (name == "rand") return ParseRandAugment(rest);
  if (name == "augmix") return ParseAugMix(rest);
  if (!TimmSubPolicies(name).empty()) return ParseTimmAutoAugment(name, rest);

  Policy policy;
  if (name == "trivial") {
    policy = TrivialAugment();
  } else if (auto sub_policies = TorchvisionSubPolicies(name); !sub_policies.empty()) {
    policy.kind = Policy::Kind::kSubPolicies;
    policy.sub_policies = std::move(sub_policies);
    policy.levels = policy.magnitude_max = 9;
    policy.nearest_on_black = true;
  } else if (!name.empty() && name != "none") {
    return Bad(name,
               "is not a policy; expected none, rand-..., original, originalr, v0, v0r, 3a, "
               "augmix-..., imagenet, cifar10, svhn or trivial");
  }
  if (!rest.empty()) return Bad(rest[0], absl::StrCat("is invalid: ", name, " takes no settings"));
  return policy;
}

}  // namespace vit::augment
