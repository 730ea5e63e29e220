// Checks how ScheduleConfig's fields fit together.
#ifndef VIT_CORE_TRAIN_OPTIM_SCHEDULE_CONFIG_H_
#define VIT_CORE_TRAIN_OPTIM_SCHEDULE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Checks what the rules of an effective config do not cover, given a peak of `learning_rate`.
// INVALID_ARGUMENT names the field as "schedule.warmup_steps".
absl::Status ValidateScheduleConfig(const vit::v1::ScheduleConfig& config, double learning_rate);

// Checks the config against the length of the run.
absl::Status ValidateScheduleLength(const vit::v1::ScheduleConfig& config, int64_t steps_per_epoch,
                                    int64_t total_steps);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_SCHEDULE_CONFIG_H_
