#include "core/train/schedule_config.h"

#include "absl/strings/str_cat.h"
#include "core/train/schedule.h"
#include "core/train/spec_fields.h"

namespace vit {

absl::Status CheckScheduleChoices(const vit::v1::ScheduleConfig& s) {
  if (s.has_warmup_steps() + s.has_warmup_epochs() + s.has_warmup_fraction() > 1) {
    return absl::InvalidArgumentError(
        "schedule sets more than one of warmup_steps, warmup_epochs and warmup_fraction; set one");
  }
  return absl::OkStatus();
}

void ClearReplacedSchedule(const vit::v1::ScheduleConfig& over, vit::v1::ScheduleConfig* base) {
  if (over.has_warmup_steps() || over.has_warmup_epochs() || over.has_warmup_fraction()) {
    base->clear_warmup_steps();
    base->clear_warmup_epochs();
    base->clear_warmup_fraction();
  }
}

void FillScheduleDefaults(vit::v1::ScheduleConfig* s) {
  using S = vit::v1::ScheduleConfig;
  Fill(s->has_type(), s, &S::set_type, vit::v1::SCHEDULE_TYPE_COSINE);
  Fill(s->has_min_learning_rate(), s, &S::set_min_learning_rate, 0);
  if (!s->has_warmup_steps() && !s->has_warmup_epochs()) {
    Fill(s->has_warmup_fraction(), s, &S::set_warmup_fraction, 0.05);
  }
}

absl::Status ValidateScheduleConfig(const vit::v1::ScheduleConfig& s, double learning_rate) {
  constexpr int64_t kMaxSteps = 1'000'000'000;
  if (s.has_warmup_fraction() && !(s.warmup_fraction() >= 0 && s.warmup_fraction() <= 1)) {
    return BadField("schedule.warmup_fraction", s.warmup_fraction(), "0 to 1");
  }
  if (s.has_warmup_epochs() && !(s.warmup_epochs() >= 0 && s.warmup_epochs() <= 1e6)) {
    return BadField("schedule.warmup_epochs", s.warmup_epochs(), "at least 0");
  }
  if (s.warmup_steps() < 0 || s.warmup_steps() > kMaxSteps) {
    return BadField("schedule.warmup_steps", static_cast<double>(s.warmup_steps()),
                    absl::StrCat("0 to ", kMaxSteps));
  }
  if (!(s.min_learning_rate() >= 0 && s.min_learning_rate() <= learning_rate)) {
    return BadField("schedule.min_learning_rate", s.min_learning_rate(),
                    "0 to optimizer.learning_rate");
  }
  return absl::OkStatus();
}

absl::Status ValidateScheduleLength(const vit::v1::ScheduleConfig& s, int64_t steps_per_epoch,
                                    int64_t total_steps) {
  const int64_t warmup = WarmupSteps(s, steps_per_epoch, total_steps);
  if (warmup > total_steps) {
    return absl::InvalidArgumentError(absl::StrCat(
        "schedule: a warmup of ", warmup, " steps is longer than the run of ", total_steps,
        " steps (", steps_per_epoch, " steps an epoch); shorten the warmup or lengthen the run"));
  }
  return absl::OkStatus();
}

}  // namespace vit
