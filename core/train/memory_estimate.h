// How much memory a run will need.
#ifndef VIT_CORE_TRAIN_MEMORY_ESTIMATE_H_
#define VIT_CORE_TRAIN_MEMORY_ESTIMATE_H_

#include <cstdint>

#include "core/base/compute/device.h"
#include "core/train/optim/trained_part.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct MemoryEstimate {
  int64_t host_bytes = 0;
  int64_t device_bytes = 0;  // 0 for the CPU
};

// Estimates the daemon's peak memory while it trains `spec` (effective) on `device`. `trained`: the
// trained part (see FindTrainedPart). `decoded_bytes`: the decoded images kept in memory. The terms
// for the CPU were fitted to measured peaks, which docs/performance.md lists.
MemoryEstimate EstimateTrainingMemory(const vit::v1::TrainingSpec& spec, const TrainedPart& trained,
                                      int64_t decoded_bytes, Device::Kind device);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_MEMORY_ESTIMATE_H_
