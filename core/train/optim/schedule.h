// The learning rate as a function of the step.
#ifndef VIT_CORE_TRAIN_OPTIM_SCHEDULE_H_
#define VIT_CORE_TRAIN_OPTIM_SCHEDULE_H_

#include <cstdint>

#include "vit/v1/training.pb.h"

namespace vit {

// The length of a run and its parts, in updates.
struct StepCounts {
  int64_t per_epoch = 1;
  int64_t warmup = 0;
  int64_t total = 1;
};

// Returns the warmup updates of an effective schedule in a run of `total_steps`, rounded to the
// nearest.
int64_t WarmupSteps(const vit::v1::ScheduleConfig& schedule, int64_t steps_per_epoch,
                    int64_t total_steps);

StepCounts CountSteps(const vit::v1::ScheduleConfig& schedule, int64_t steps_per_epoch,
                      int64_t total_steps);

// Returns the updates of the decay at the end of a warmup-stable-decay schedule, likewise.
int64_t DecaySteps(const vit::v1::ScheduleConfig& schedule, int64_t steps_per_epoch,
                   int64_t total_steps);

// Returns the learning rate of update `step` (from 0), before the multipliers of parameter groups.
// During warmup it is start + (peak - start) * (step + 1) / warmup; then, with t = (step - warmup)
// / (total - warmup) and low = min_learning_rate:
//   cosine        low + (peak_i - low) * (1 + cos(pi u)) / 2, with t * cycles = i + u and
//                 peak_i = peak * cycle_decay^i (Loshchilov and Hutter, 2017,
//                 https://arxiv.org/abs/1608.03983, with cycles of equal length; as timm's
//                 CosineLRScheduler with warmup_prefix)
//   linear        low + (peak - low) * (1 - t)
//   polynomial    low + (peak - low) * (1 - t)^power, as timm's PolyLRScheduler
//   constant      peak
//   step          max(low, peak * gamma^n), with n the milestones or whole intervals up to `step`
//                 from update 0, as torch.optim.lr_scheduler's StepLR and MultiStepLR
//   warmup-stable-decay
//                 peak, and over the last DecaySteps updates low + (peak - low) * shape(u)
double LearningRate(const vit::v1::ScheduleConfig& schedule, double peak, const StepCounts& steps,
                    int64_t step);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_SCHEDULE_H_
