#include "core/train/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vit {
namespace {

using ::vit::v1::ScheduleConfig;

int64_t StepsOf(double epochs, int64_t steps_per_epoch) {
  return std::llround(epochs * static_cast<double>(steps_per_epoch));
}

// Half a cosine from 1 at u = 0 to 0 at u = 1.
double CosineFall(double u) { return (1 + std::cos(std::numbers::pi * u)) / 2; }

double CosineRate(const ScheduleConfig& schedule, double peak, const StepCounts& steps,
                  int64_t step) {
  const double low = schedule.min_learning_rate();
  const int64_t cycles = std::max(1, schedule.cycles());
  // In integers, so that a cycle begins exactly where it should.
  const int64_t length = std::max<int64_t>(1, steps.total - steps.warmup);
  const int64_t place = (step - steps.warmup) * cycles;
  const int64_t cycle = std::min(place / length, cycles - 1);
  const double u = static_cast<double>(place - cycle * length) / static_cast<double>(length);
  const double decay = schedule.has_cycle_decay() ? schedule.cycle_decay() : 1;
  return low + (peak * std::pow(decay, cycle) - low) * CosineFall(u);
}

// Returns how often a step schedule has multiplied the rate by update `step`.
int64_t StepDecays(const ScheduleConfig& schedule, int64_t steps_per_epoch, int64_t step) {
  if (schedule.has_every_steps()) return step / schedule.every_steps();
  if (schedule.has_every_epochs()) {
    return step / std::max<int64_t>(1, StepsOf(schedule.every_epochs(), steps_per_epoch));
  }
  return std::count_if(schedule.milestone_steps().begin(), schedule.milestone_steps().end(),
                       [&](int64_t milestone) { return milestone <= step; }) +
         std::count_if(
             schedule.milestone_epochs().begin(), schedule.milestone_epochs().end(),
             [&](double milestone) { return StepsOf(milestone, steps_per_epoch) <= step; });
}

double StableDecayRate(const ScheduleConfig& schedule, double peak, const StepCounts& steps,
                       int64_t step) {
  const int64_t length = DecaySteps(schedule, steps.per_epoch, steps.total);
  const int64_t start = steps.total - length;
  if (step < start || length == 0) return peak;
  const double u = static_cast<double>(step - start) / static_cast<double>(length);
  const double low = schedule.min_learning_rate();
  switch (schedule.decay_shape()) {
    case vit::v1::DECAY_SHAPE_COSINE:
      return low + (peak - low) * CosineFall(u);
    case vit::v1::DECAY_SHAPE_ONE_MINUS_SQRT:
      return low + (peak - low) * (1 - std::sqrt(u));
    default:
      return low + (peak - low) * (1 - u);
  }
}

}  // namespace

int64_t WarmupSteps(const ScheduleConfig& schedule, int64_t steps_per_epoch, int64_t total_steps) {
  if (schedule.has_warmup_steps()) return schedule.warmup_steps();
  if (schedule.has_warmup_epochs()) return StepsOf(schedule.warmup_epochs(), steps_per_epoch);
  return std::llround(schedule.warmup_fraction() * static_cast<double>(total_steps));
}

StepCounts CountSteps(const ScheduleConfig& schedule, int64_t steps_per_epoch,
                      int64_t total_steps) {
  return {.per_epoch = steps_per_epoch,
          .warmup = WarmupSteps(schedule, steps_per_epoch, total_steps),
          .total = total_steps};
}

int64_t DecaySteps(const ScheduleConfig& schedule, int64_t steps_per_epoch, int64_t total_steps) {
  if (schedule.has_decay_steps()) return schedule.decay_steps();
  if (schedule.has_decay_epochs()) return StepsOf(schedule.decay_epochs(), steps_per_epoch);
  return std::llround(schedule.decay_fraction() * static_cast<double>(total_steps));
}

double LearningRate(const ScheduleConfig& schedule, double peak, const StepCounts& steps,
                    int64_t step) {
  if (step < steps.warmup) {
    const double start = schedule.warmup_start_learning_rate();
    return start +
           (peak - start) * static_cast<double>(step + 1) / static_cast<double>(steps.warmup);
  }
  const double low = schedule.min_learning_rate();
  const double t =
      std::min(1.0, static_cast<double>(step - steps.warmup) /
                        static_cast<double>(std::max<int64_t>(1, steps.total - steps.warmup)));
  switch (schedule.type()) {
    case vit::v1::SCHEDULE_TYPE_CONSTANT:
      return peak;
    case vit::v1::SCHEDULE_TYPE_LINEAR:
      return low + (peak - low) * (1 - t);
    case vit::v1::SCHEDULE_TYPE_POLYNOMIAL:
      return low + (peak - low) * std::pow(1 - t, schedule.has_power() ? schedule.power() : 1);
    case vit::v1::SCHEDULE_TYPE_STEP:
      return std::max(low, peak * std::pow(schedule.has_gamma() ? schedule.gamma() : 0.1,
                                           StepDecays(schedule, steps.per_epoch, step)));
    case vit::v1::SCHEDULE_TYPE_WARMUP_STABLE_DECAY:
      return StableDecayRate(schedule, peak, steps, step);
    default:
      return CosineRate(schedule, peak, steps, step);
  }
}

}  // namespace vit
