// The learning rate as a function of the step.
#ifndef VIT_CORE_TRAIN_SCHEDULE_H_
#define VIT_CORE_TRAIN_SCHEDULE_H_

#include <cstdint>

#include "vit/v1/training.pb.h"

namespace vit {

// Updates of warmup that an effective schedule means for a run of `total_steps`; rounded to the
// nearest.
int64_t WarmupSteps(const vit::v1::ScheduleConfig& schedule, int64_t steps_per_epoch,
                    int64_t total_steps);

// The learning rate of update `step` (from 0): linear warmup peak * (step + 1) / warmup_steps, then
// from peak to min_learning_rate over the rest, at t = (step - warmup_steps) / (total_steps -
// warmup_steps): cosine min + (peak - min) * (1 + cos(pi t)) / 2 (Loshchilov and Hutter, 2017,
// https://arxiv.org/abs/1608.03983), linear, or the peak throughout.
double LearningRate(const vit::v1::ScheduleConfig& schedule, double peak, int64_t warmup_steps,
                    int64_t total_steps, int64_t step);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_SCHEDULE_H_
