#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/model/model_config.h"
#include "core/train/memory_estimate.h"
#include "core/train/optim/optimizer_config.h"
#include "core/train/resolve_spec.h"
#include "proto/spec_text.h"

namespace vit {

// Generated from core/train/presets.
const std::vector<std::pair<std::string, std::string>>& RecipePresetTexts();

namespace {

constexpr int kUsualBatchSize = 32;

vit::v1::ModelConfig EffectiveModel(const vit::v1::Preset& preset) {
  vit::v1::ModelConfig model = preset.spec().model();
  FillModelConfigDefaults(1000, &model);
  return model;
}

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
  // The peak that its base_learning_rate means, for people to see; it makes way for another batch
  // size (see ClearReplacedOptimizer).
  if (preset.spec().optimizer().has_base_learning_rate() && preset.spec().has_batch_size()) {
    vit::v1::OptimizerConfig filled = preset.spec().optimizer();
    FillOptimizerDefaults(preset.spec().batch_size(), &filled);
    preset.mutable_spec()->mutable_optimizer()->set_learning_rate(filled.learning_rate());
  }
  const vit::v1::ModelConfig model = EffectiveModel(preset);
  preset.set_parameter_count(ParameterCount(model));
  preset.set_forward_flops(ForwardFlops(model));
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

int64_t PresetTrainingMemory(const vit::v1::Preset& preset, int batch_size) {
  vit::v1::TrainingSpec spec = preset.spec();
  *spec.mutable_model() = EffectiveModel(preset);
  if (batch_size > 0) spec.set_batch_size(batch_size);
  if (!spec.has_batch_size()) spec.set_batch_size(kUsualBatchSize);
  if (!spec.has_accumulation_steps()) spec.set_accumulation_steps(1);
  if (!spec.data().has_prefetch_batches()) spec.mutable_data()->set_prefetch_batches(4);
  FillOptimizerDefaults(spec.batch_size(), spec.mutable_optimizer());
  // A preset whose patterns do not fit its model is found by a test.
  const TrainedPart all{.parameters = preset.parameter_count(), .blocks = spec.model().depth()};
  return EstimateTrainingMemory(spec, FindTrainedPart(spec).value_or(all), /*decoded_bytes=*/0,
                                Device::Kind::kCpu)
      .host_bytes;
}

}  // namespace vit
