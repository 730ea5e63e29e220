#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "core/model/model_config.h"
#include "core/train/resolve_spec.h"
#include "proto/spec_text.h"

namespace vit {

// Generated from core/train/presets.
const std::vector<std::pair<std::string, std::string>>& RecipePresetTexts();

namespace {

vit::v1::Preset MakePreset(const std::string& name, const std::string& text) {
  vit::v1::Preset preset;
  preset.set_name(name);
  // The first line is a comment that describes the preset.
  const absl::string_view first_line = absl::StripLeadingAsciiWhitespace(
      absl::string_view(text).substr(0, std::min(text.size(), text.find('\n'))));
  preset.set_description(
      std::string(absl::StripLeadingAsciiWhitespace(absl::StripPrefix(first_line, "#"))));
  (void)ParseMessageText(text, preset.mutable_spec());  // a test parses every preset
  vit::v1::ModelConfig model = preset.spec().model();
  FillModelConfigDefaults(1000, &model);
  preset.set_parameter_count(ParameterCount(model));
  return preset;
}

}  // namespace

const std::vector<vit::v1::Preset>& AllPresets() {
  static const auto* const presets = [] {
    auto* all = new std::vector<vit::v1::Preset>;
    for (const auto& [name, text] : ModelPresetTexts()) all->push_back(MakePreset(name, text));
    for (const auto& [name, text] : RecipePresetTexts()) all->push_back(MakePreset(name, text));
    std::sort(all->begin(), all->end(),
              [](const auto& a, const auto& b) { return a.name() < b.name(); });
    return all;
  }();
  return *presets;
}

}  // namespace vit
