#include "core/train/schedule.h"

#include <cmath>
#include <numbers>

namespace vit {

int64_t WarmupSteps(const vit::v1::ScheduleConfig& schedule, int64_t steps_per_epoch,
                    int64_t total_steps) {
  if (schedule.has_warmup_steps()) return schedule.warmup_steps();
  if (schedule.has_warmup_epochs())
    return std::llround(schedule.warmup_epochs() * static_cast<double>(steps_per_epoch));
  return std::llround(schedule.warmup_fraction() * static_cast<double>(total_steps));
}

double LearningRate(const vit::v1::ScheduleConfig& schedule, double peak, int64_t warmup_steps,
                    int64_t total_steps, int64_t step) {
  if (step < warmup_steps)
    return peak * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  const double low = schedule.min_learning_rate();
  const double t =
      static_cast<double>(step - warmup_steps) / static_cast<double>(total_steps - warmup_steps);
  switch (schedule.type()) {
    case vit::v1::SCHEDULE_TYPE_CONSTANT:
      return peak;
    case vit::v1::SCHEDULE_TYPE_LINEAR:
      return low + (peak - low) * (1 - t);
    default:
      return low + (peak - low) * (1 + std::cos(std::numbers::pi * t)) / 2;
  }
}

}  // namespace vit
