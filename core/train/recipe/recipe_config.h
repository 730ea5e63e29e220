// Checks how a recipe's fields fit together, besides those of optimizer and schedule: loss, mixing,
// averaging.
#ifndef VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_
#define VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/data/dataset.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Computes class weights by frequency from `data`'s training split if `loss` asks for them.
// INVALID_ARGUMENT if a class has no images to count, or if class_weights are set to other values.
absl::Status FillClassWeights(const DataSet& data, vit::v1::LossConfig* loss);

// Checks what the rules of an effective spec do not cover. INVALID_ARGUMENT names the field and the
// way out.
absl::Status ValidateRecipe(const vit::v1::TrainingSpec& spec, int class_count);

// Checks the spec against the length of the run. INVALID_ARGUMENT as above.
absl::Status ValidateRecipeLength(const vit::v1::TrainingSpec& spec, int64_t steps_per_epoch,
                                  int64_t total_steps);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_
