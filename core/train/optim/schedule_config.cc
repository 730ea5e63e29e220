#include "core/train/optim/schedule_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/optim/schedule.h"

namespace vit {
namespace {

using ::vit::v1::ScheduleConfig;

absl::Status Bad(absl::string_view field, double value, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("schedule.", field, " is ", value, "; expected ", expected));
}

// Checks that a rate is not above the peak.
absl::Status CheckRate(absl::string_view field, double value, double learning_rate) {
  if (value <= learning_rate) return absl::OkStatus();
  return Bad(field, value,
             absl::StrCat("at most optimizer.learning_rate, which is ", learning_rate));
}

template <typename Milestones>
absl::Status CheckOrder(absl::string_view field, const Milestones& milestones) {
  for (int i = 1; i < milestones.size(); ++i) {
    if (milestones[i] > milestones[i - 1]) continue;
    return Bad(field, static_cast<double>(milestones[i]), "numbers in ascending order");
  }
  return absl::OkStatus();
}

absl::Status CheckStep(const ScheduleConfig& s) {
  if (!s.has_every_steps() && !s.has_every_epochs() && s.milestone_steps().empty() &&
      s.milestone_epochs().empty()) {
    return absl::InvalidArgumentError(
        "schedule.type is step, but no steps are given; set one of schedule.every_steps, "
        "every_epochs, milestone_steps and milestone_epochs");
  }
  VIT_RETURN_IF_ERROR(CheckOrder("milestone_steps", s.milestone_steps()));
  return CheckOrder("milestone_epochs", s.milestone_epochs());
}

absl::Status CheckCosine(const ScheduleConfig& s, double learning_rate) {
  const double last_peak = learning_rate * std::pow(s.cycle_decay(), s.cycles() - 1);
  if (last_peak < s.min_learning_rate()) {
    return absl::InvalidArgumentError(
        absl::StrCat("schedule: the last of ", s.cycles(), " cycles begins at ", last_peak,
                     ", below schedule.min_learning_rate ", s.min_learning_rate(),
                     "; raise schedule.cycle_decay or lower schedule.min_learning_rate"));
  }
  return absl::OkStatus();
}

absl::Status CheckType(const ScheduleConfig& s, double learning_rate) {
  switch (s.type()) {
    case vit::v1::SCHEDULE_TYPE_COSINE:
      return CheckCosine(s, learning_rate);
    case vit::v1::SCHEDULE_TYPE_STEP:
      return CheckStep(s);
    case vit::v1::SCHEDULE_TYPE_CONSTANT:
      if (s.min_learning_rate() == 0) return absl::OkStatus();
      return absl::InvalidArgumentError(absl::StrCat(
          "schedule.min_learning_rate is ", s.min_learning_rate(),
          ", but a constant schedule never falls; leave it out or set another schedule.type"));
    default:
      return absl::OkStatus();
  }
}

}  // namespace

absl::Status ValidateScheduleConfig(const ScheduleConfig& s, double learning_rate) {
  VIT_RETURN_IF_ERROR(CheckRate("min_learning_rate", s.min_learning_rate(), learning_rate));
  VIT_RETURN_IF_ERROR(
      CheckRate("warmup_start_learning_rate", s.warmup_start_learning_rate(), learning_rate));
  return CheckType(s, learning_rate);
}

absl::Status ValidateScheduleLength(const ScheduleConfig& s, int64_t steps_per_epoch,
                                    int64_t total_steps) {
  const int64_t warmup = WarmupSteps(s, steps_per_epoch, total_steps);
  if (warmup > total_steps) {
    return absl::InvalidArgumentError(absl::StrCat(
        "schedule: a warmup of ", warmup, " steps is longer than the run of ", total_steps,
        " steps (", steps_per_epoch, " steps per epoch); shorten the warmup or lengthen the run"));
  }
  const int64_t decay = DecaySteps(s, steps_per_epoch, total_steps);
  if (s.type() == vit::v1::SCHEDULE_TYPE_WARMUP_STABLE_DECAY && warmup + decay > total_steps) {
    return absl::InvalidArgumentError(
        absl::StrCat("schedule: a warmup of ", warmup, " and a decay of ", decay,
                     " steps are longer than the run of ", total_steps, " steps (", steps_per_epoch,
                     " steps per epoch); shorten one of them or lengthen the run"));
  }
  return absl::OkStatus();
}

}  // namespace vit
