// How much memory a run will need.
#ifndef VIT_CORE_TRAIN_MEMORY_ESTIMATE_H_
#define VIT_CORE_TRAIN_MEMORY_ESTIMATE_H_

#include <cstdint>

#include "core/train/trained_part.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Estimated peak of the daemon's resident memory while it trains `spec` (effective), of which
// `trained` is trained (see FindTrainedPart), in bytes.
// `decoded_bytes`: the decoded pictures kept in memory. The terms were fitted to measured peaks;
// docs/performance.md has them.
int64_t EstimateTrainingMemory(const vit::v1::TrainingSpec& spec, const TrainedPart& trained,
                               int64_t decoded_bytes);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_MEMORY_ESTIMATE_H_
