#include "core/train/optim/schedule_config.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/optim/schedule.h"
#include "core/train/spec_fields.h"

namespace vit {
namespace {

using ::vit::v1::ScheduleConfig;

constexpr int64_t kMaxSteps = 1'000'000'000;
constexpr double kMaxEpochs = 1e6;

constexpr uint32_t kStep = TypeBit(vit::v1::SCHEDULE_TYPE_STEP);
constexpr uint32_t kStableDecay = TypeBit(vit::v1::SCHEDULE_TYPE_WARMUP_STABLE_DECAY);
constexpr FieldOfTypes kFieldsOfTypes[] = {
    {"cycles", TypeBit(vit::v1::SCHEDULE_TYPE_COSINE)},
    {"cycle_decay", TypeBit(vit::v1::SCHEDULE_TYPE_COSINE)},
    {"power", TypeBit(vit::v1::SCHEDULE_TYPE_POLYNOMIAL)},
    {"gamma", kStep},
    {"every_steps", kStep},
    {"every_epochs", kStep},
    {"milestone_steps", kStep},
    {"milestone_epochs", kStep},
    {"decay_steps", kStableDecay},
    {"decay_epochs", kStableDecay},
    {"decay_fraction", kStableDecay},
    {"decay_shape", kStableDecay},
};

int WarmupChoices(const ScheduleConfig& s) {
  return s.has_warmup_steps() + s.has_warmup_epochs() + s.has_warmup_fraction();
}
int DecayChoices(const ScheduleConfig& s) {
  return s.has_decay_steps() + s.has_decay_epochs() + s.has_decay_fraction();
}
int StepChoices(const ScheduleConfig& s) {
  return s.has_every_steps() + s.has_every_epochs() + (s.milestone_steps_size() > 0 ? 1 : 0) +
         (s.milestone_epochs_size() > 0 ? 1 : 0);
}

absl::Status CheckPart(absl::string_view name, bool set, double value, double high) {
  if (!set || (value >= 0 && value <= high)) return absl::OkStatus();
  return BadField(absl::StrCat("schedule.", name), value, absl::StrCat("0 to ", high));
}

// A rate between 0 and the peak.
absl::Status CheckRate(absl::string_view name, double value, double learning_rate) {
  if (value >= 0 && value <= learning_rate) return absl::OkStatus();
  return BadField(absl::StrCat("schedule.", name), value,
                  absl::StrCat("0 to optimizer.learning_rate, which is ", learning_rate));
}

template <typename Milestones>
absl::Status CheckMilestones(absl::string_view name, const Milestones& milestones, double high) {
  double last = 0;
  for (const double milestone : milestones) {
    if (!(milestone > last && milestone <= high)) {
      return BadField(absl::StrCat("schedule.", name), milestone,
                      absl::StrCat("numbers above 0, at most ", high, ", in ascending order"));
    }
    last = milestone;
  }
  return absl::OkStatus();
}

absl::Status ValidateStep(const ScheduleConfig& s) {
  if (StepChoices(s) == 0) {
    return absl::InvalidArgumentError(
        "schedule.type is step, but not when; set one of schedule.every_steps, every_epochs, "
        "milestone_steps and milestone_epochs");
  }
  if (!(s.gamma() > 0 && s.gamma() <= 1)) {
    return BadField("schedule.gamma", s.gamma(), "above 0, at most 1");
  }
  if (s.has_every_steps() && (s.every_steps() < 1 || s.every_steps() > kMaxSteps)) {
    return BadField("schedule.every_steps", static_cast<double>(s.every_steps()),
                    absl::StrCat("1 to ", kMaxSteps));
  }
  if (s.has_every_epochs() && !(s.every_epochs() > 0 && s.every_epochs() <= kMaxEpochs)) {
    return BadField("schedule.every_epochs", s.every_epochs(),
                    absl::StrCat("above 0, at most ", kMaxEpochs));
  }
  VIT_RETURN_IF_ERROR(CheckMilestones("milestone_steps", s.milestone_steps(), kMaxSteps));
  return CheckMilestones("milestone_epochs", s.milestone_epochs(), kMaxEpochs);
}

absl::Status ValidateCosine(const ScheduleConfig& s, double learning_rate) {
  if (s.cycles() < 1 || s.cycles() > kMaxSteps) {
    return BadField("schedule.cycles", s.cycles(), absl::StrCat("1 to ", kMaxSteps));
  }
  if (!(s.cycle_decay() > 0 && s.cycle_decay() <= 1)) {
    return BadField("schedule.cycle_decay", s.cycle_decay(), "above 0, at most 1");
  }
  const double last_peak = learning_rate * std::pow(s.cycle_decay(), s.cycles() - 1);
  if (last_peak < s.min_learning_rate()) {
    return absl::InvalidArgumentError(
        absl::StrCat("schedule: the last of ", s.cycles(), " cycles begins at ", last_peak,
                     ", below schedule.min_learning_rate ", s.min_learning_rate(),
                     "; raise schedule.cycle_decay or lower schedule.min_learning_rate"));
  }
  return absl::OkStatus();
}

absl::Status ValidateType(const ScheduleConfig& s, double learning_rate) {
  switch (s.type()) {
    case vit::v1::SCHEDULE_TYPE_COSINE:
      return ValidateCosine(s, learning_rate);
    case vit::v1::SCHEDULE_TYPE_STEP:
      return ValidateStep(s);
    case vit::v1::SCHEDULE_TYPE_POLYNOMIAL:
      if (s.power() > 0 && std::isfinite(s.power())) return absl::OkStatus();
      return BadField("schedule.power", s.power(), "a number above 0");
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

absl::Status CheckScheduleChoices(const ScheduleConfig& s) {
  if (WarmupChoices(s) > 1) {
    return absl::InvalidArgumentError(
        "schedule sets more than one of warmup_steps, warmup_epochs and warmup_fraction; set one");
  }
  if (DecayChoices(s) > 1) {
    return absl::InvalidArgumentError(
        "schedule sets more than one of decay_steps, decay_epochs and decay_fraction; set one");
  }
  if (StepChoices(s) > 1) {
    return absl::InvalidArgumentError(
        "schedule sets more than one of every_steps, every_epochs, milestone_steps and "
        "milestone_epochs; set one");
  }
  return absl::OkStatus();
}

void ClearReplacedSchedule(const ScheduleConfig& over, ScheduleConfig* base) {
  if (WarmupChoices(over) > 0) {
    base->clear_warmup_steps();
    base->clear_warmup_epochs();
    base->clear_warmup_fraction();
  }
  if (DecayChoices(over) > 0) {
    base->clear_decay_steps();
    base->clear_decay_epochs();
    base->clear_decay_fraction();
  }
  if (StepChoices(over) > 0) {
    base->clear_every_steps();
    base->clear_every_epochs();
    base->clear_milestone_steps();
    base->clear_milestone_epochs();
  }
  if (over.has_type()) ClearFieldsOfOtherTypes(kFieldsOfTypes, over.type(), base);
  if (over.type() == vit::v1::SCHEDULE_TYPE_CONSTANT) base->clear_min_learning_rate();
}

void FillScheduleDefaults(ScheduleConfig* s) {
  using S = ScheduleConfig;
  Fill(s->has_type(), s, &S::set_type, vit::v1::SCHEDULE_TYPE_COSINE);
  Fill(s->has_min_learning_rate(), s, &S::set_min_learning_rate, 0);
  Fill(s->has_warmup_start_learning_rate(), s, &S::set_warmup_start_learning_rate, 0);
  Fill(WarmupChoices(*s) > 0, s, &S::set_warmup_fraction, 0.05);
  switch (s->type()) {
    case vit::v1::SCHEDULE_TYPE_COSINE:
      Fill(s->has_cycles(), s, &S::set_cycles, 1);
      Fill(s->has_cycle_decay(), s, &S::set_cycle_decay, 1);
      break;
    case vit::v1::SCHEDULE_TYPE_POLYNOMIAL:
      Fill(s->has_power(), s, &S::set_power, 1);
      break;
    case vit::v1::SCHEDULE_TYPE_STEP:
      Fill(s->has_gamma(), s, &S::set_gamma, 0.1);
      break;
    case vit::v1::SCHEDULE_TYPE_WARMUP_STABLE_DECAY:
      Fill(DecayChoices(*s) > 0, s, &S::set_decay_fraction, 0.2);
      Fill(s->has_decay_shape(), s, &S::set_decay_shape, vit::v1::DECAY_SHAPE_LINEAR);
      break;
    default:
      break;
  }
}

absl::Status ValidateScheduleConfig(const ScheduleConfig& s, double learning_rate) {
  VIT_RETURN_IF_ERROR(CheckScheduleChoices(s));
  VIT_RETURN_IF_ERROR(CheckFieldsOfTypes(kFieldsOfTypes, s, "schedule"));
  VIT_RETURN_IF_ERROR(
      CheckPart("warmup_fraction", s.has_warmup_fraction(), s.warmup_fraction(), 1));
  VIT_RETURN_IF_ERROR(
      CheckPart("warmup_epochs", s.has_warmup_epochs(), s.warmup_epochs(), kMaxEpochs));
  VIT_RETURN_IF_ERROR(CheckPart("warmup_steps", s.has_warmup_steps(),
                                static_cast<double>(s.warmup_steps()), kMaxSteps));
  VIT_RETURN_IF_ERROR(CheckPart("decay_fraction", s.has_decay_fraction(), s.decay_fraction(), 1));
  VIT_RETURN_IF_ERROR(
      CheckPart("decay_epochs", s.has_decay_epochs(), s.decay_epochs(), kMaxEpochs));
  VIT_RETURN_IF_ERROR(CheckPart("decay_steps", s.has_decay_steps(),
                                static_cast<double>(s.decay_steps()), kMaxSteps));
  VIT_RETURN_IF_ERROR(CheckRate("min_learning_rate", s.min_learning_rate(), learning_rate));
  VIT_RETURN_IF_ERROR(
      CheckRate("warmup_start_learning_rate", s.warmup_start_learning_rate(), learning_rate));
  return ValidateType(s, learning_rate);
}

absl::Status ValidateScheduleLength(const ScheduleConfig& s, int64_t steps_per_epoch,
                                    int64_t total_steps) {
  const int64_t warmup = WarmupSteps(s, steps_per_epoch, total_steps);
  if (warmup > total_steps) {
    return absl::InvalidArgumentError(absl::StrCat(
        "schedule: a warmup of ", warmup, " steps is longer than the run of ", total_steps,
        " steps (", steps_per_epoch, " steps an epoch); shorten the warmup or lengthen the run"));
  }
  const int64_t decay = DecaySteps(s, steps_per_epoch, total_steps);
  if (s.type() == vit::v1::SCHEDULE_TYPE_WARMUP_STABLE_DECAY && warmup + decay > total_steps) {
    return absl::InvalidArgumentError(
        absl::StrCat("schedule: a warmup of ", warmup, " and a decay of ", decay,
                     " steps are longer than the run of ", total_steps, " steps (", steps_per_epoch,
                     " steps an epoch); shorten one of them or lengthen the run"));
  }
  return absl::OkStatus();
}

}  // namespace vit
