#include "core/spec/presets.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/spec/defaults.h"
#include "proto/field_names.h"
#include "proto/spec_text.h"

namespace vit {

// Generated from core/spec/presets: the files' names and texts.
const std::vector<std::pair<std::string, std::string>>& ModelPresetTexts();
const std::vector<std::pair<std::string, std::string>>& RecipePresetTexts();

namespace {

// A preset begins with comments: the first describes it, "# init: ..." and "# data: ..." say what
// it needs.
void ReadComments(absl::string_view text, vit::v1::Preset* preset) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "# ")) return;
    if (absl::ConsumePrefix(&line, "init: ")) {
      preset->set_needs_init(std::string(line));
    } else if (absl::ConsumePrefix(&line, "data: ")) {
      preset->set_needs_data(std::string(line));
    } else {
      preset->set_description(std::string(line));
    }
  }
}

vit::v1::Preset MakePreset(const std::string& name, const std::string& text) {
  vit::v1::Preset preset;
  preset.set_name(name);
  ReadComments(text, &preset);
  (void)ParseMessageText(text, preset.mutable_spec());  // a test parses every preset
  // The peak that its base_learning_rate means, to show it to people; another batch size replaces
  // it (MergeSpec).
  if (preset.spec().optimizer().has_base_learning_rate() && preset.spec().has_batch_size()) {
    vit::v1::OptimizerConfig filled = preset.spec().optimizer();
    FillOptimizerDefaults(preset.spec().batch_size(), &filled);
    preset.mutable_spec()->mutable_optimizer()->set_learning_rate(filled.learning_rate());
  }
  return preset;
}

}  // namespace

const std::vector<vit::v1::Preset>& AllPresets() {
  static const auto* const presets = [] {
    auto* all = new std::vector<vit::v1::Preset>(ModelPresets());
    for (const auto& [name, text] : RecipePresetTexts()) all->push_back(MakePreset(name, text));
    std::sort(all->begin(), all->end(),
              [](const auto& a, const auto& b) { return a.name() < b.name(); });
    return all;
  }();
  return *presets;
}

const std::vector<vit::v1::Preset>& ModelPresets() {
  static const auto* const presets = [] {
    auto* models = new std::vector<vit::v1::Preset>;
    for (const auto& [name, text] : ModelPresetTexts()) models->push_back(MakePreset(name, text));
    return models;
  }();
  return *presets;
}

absl::StatusOr<const vit::v1::Preset*> FindPreset(const std::string& name) {
  std::vector<std::string> names;
  for (const vit::v1::Preset& preset : AllPresets()) {
    if (preset.name() == name) return &preset;
    names.push_back(preset.name());
  }
  const std::string nearest = NearestName(name, names);
  return absl::NotFoundError(absl::StrCat("no preset '", name, "'",
                                          nearest.empty()
                                              ? "; vitctl presets lists them"
                                              : absl::StrCat("; did you mean '", nearest, "'?")));
}

}  // namespace vit
