// How large a preset's model is and how much memory its training needs.
#ifndef VIT_CORE_TRAIN_PRESET_SIZES_H_
#define VIT_CORE_TRAIN_PRESET_SIZES_H_

#include "vit/v1/training.pb.h"

namespace vit {

// Sets parameter_count, forward_flops and training_memory_bytes of a preset of AllPresets.
// `batch_size` as in ListPresetsRequest.
void SetPresetSizes(int batch_size, vit::v1::Preset* preset);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_PRESET_SIZES_H_
