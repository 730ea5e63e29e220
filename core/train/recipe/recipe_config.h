// Defaults and checks of what a recipe is made of besides optimizer and schedule: loss, mixing,
// averaging, early stopping.
#ifndef VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_
#define VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/data/dataset.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Sets the fields of `spec` that are not set. Class weights by frequency are those of `data`'s
// training split. INVALID_ARGUMENT where a class has no pictures to count, or where class_weights
// are set to others.
absl::Status FillRecipeDefaults(const DataSet& data, vit::v1::TrainingSpec* spec);

// Checks an effective spec. INVALID_ARGUMENT names the field and the way out.
absl::Status ValidateRecipe(const vit::v1::TrainingSpec& spec, const DataSet& data);

// Against the length of the run. INVALID_ARGUMENT as above.
absl::Status ValidateRecipeLength(const vit::v1::TrainingSpec& spec, int64_t steps_per_epoch,
                                  int64_t total_steps);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_RECIPE_CONFIG_H_
