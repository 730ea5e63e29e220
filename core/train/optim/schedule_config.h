// Defaults and checks of ScheduleConfig.
#ifndef VIT_CORE_TRAIN_OPTIM_SCHEDULE_CONFIG_H_
#define VIT_CORE_TRAIN_OPTIM_SCHEDULE_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "vit/v1/training.pb.h"

namespace vit {

// INVALID_ARGUMENT where what one person wrote sets fields that exclude each other.
absl::Status CheckScheduleChoices(const vit::v1::ScheduleConfig& config);

// Takes out of `base` what excludes fields that `over`, about to be merged over it, sets.
void ClearReplacedSchedule(const vit::v1::ScheduleConfig& over, vit::v1::ScheduleConfig* base);

// Sets every field that is not set to the default that training.proto names.
void FillScheduleDefaults(vit::v1::ScheduleConfig* config);

// Checks an effective config under a peak of `learning_rate`. INVALID_ARGUMENT names the field as
// "schedule.warmup_steps".
absl::Status ValidateScheduleConfig(const vit::v1::ScheduleConfig& config, double learning_rate);

// Checks it against the length of the run.
absl::Status ValidateScheduleLength(const vit::v1::ScheduleConfig& config, int64_t steps_per_epoch,
                                    int64_t total_steps);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_SCHEDULE_CONFIG_H_
