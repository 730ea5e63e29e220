// How much of a model a run trains.
#ifndef VIT_CORE_TRAIN_OPTIM_TRAINED_PART_H_
#define VIT_CORE_TRAIN_OPTIM_TRAINED_PART_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct TrainedPart {
  int64_t parameters = 0;  // values that are trained
  int64_t blocks = 0;      // blocks that the backward pass goes through
};

// Returns what `spec` (its model and optimizer effective) trains. Statuses as PlanParameters'.
// Builds the model, without touching its values, only if the optimizer treats parameters
// differently.
absl::StatusOr<TrainedPart> FindTrainedPart(const vit::v1::TrainingSpec& spec);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_TRAINED_PART_H_
