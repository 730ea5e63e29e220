// Defaults and checks of TrainTransform's augmentation fields; called by data_config.cc.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_CONFIG_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_CONFIG_H_

#include "absl/status/status.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Checks the fields that are set. INVALID_ARGUMENT names the field as "data.train.grayscale".
absl::Status ValidateAugmentation(const vit::v1::TrainTransform& train);

// Sets every field that is not set to its default; `interpolation` is the data's.
void FillAugmentationDefaults(vit::v1::Interpolation interpolation, vit::v1::TrainTransform* train);

}  // namespace vit

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_CONFIG_H_
