// Makes what an update trains on from its batch.
#ifndef VIT_CORE_TRAIN_RECIPE_EXAMPLES_H_
#define VIT_CORE_TRAIN_RECIPE_EXAMPLES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/train/optim/schedule.h"
#include "core/train/recipe/loss.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct Examples {
  at::Tensor images;  // [count, 3, S, S]
  Targets targets;
};

// Returns the images of update `step` as the model sees them: erased, then mixed with each other,
// as `spec` (effective) says. `images`: [count, 3, S, S], normalised; `labels`: [count]; both on
// the device. `slots`: the place of each image in a batch of `batch_size` places.
Examples MakeExamples(const vit::v1::TrainingSpec& spec, const StepCounts& steps,
                      const at::Tensor& images, const at::Tensor& labels,
                      const std::vector<int>& slots, int batch_size, int64_t step);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_EXAMPLES_H_
