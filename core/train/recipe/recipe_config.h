// What a recipe's fields mean together, besides those of optimizer and schedule: loss, mixing,
// averaging.
#ifndef VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_
#define VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/data/dataset.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Computes class weights by frequency from `data`'s training split, where `loss` asks for them.
// INVALID_ARGUMENT where a class has no images to count, or where class_weights are set to others.
absl::Status FillClassWeights(const DataSet& data, vit::v1::LossConfig* loss);

// Checks what the rules of an effective spec do not say. INVALID_ARGUMENT names the field and the
// way out.
absl::Status ValidateRecipe(const vit::v1::TrainingSpec& spec, int class_count);

// Against the length of the run. INVALID_ARGUMENT as above.
absl::Status ValidateRecipeLength(const vit::v1::TrainingSpec& spec, int64_t steps_per_epoch,
                                  int64_t total_steps);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_
