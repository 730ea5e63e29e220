// Presets of models and of whole recipes, compiled in from core/spec/presets.
#ifndef VIT_CORE_SPEC_PRESETS_H_
#define VIT_CORE_SPEC_PRESETS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Every preset, sorted by name: what its file says, without the sizes that follow from it
// (SetPresetSizes).
const std::vector<vit::v1::Preset>& AllPresets();

// The presets that set only a model.
const std::vector<vit::v1::Preset>& ModelPresets();

// Finds the preset with that name. NOT_FOUND names the nearest one.
absl::StatusOr<const vit::v1::Preset*> FindPreset(const std::string& name);

}  // namespace vit

#endif  // VIT_CORE_SPEC_PRESETS_H_
