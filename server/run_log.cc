#include "server/run_log.h"

#include "absl/strings/str_cat.h"
#include "proto/field_names.h"

namespace vit {

void RunLog::OnRunChanged(const vit::v1::Run& run) {
  {
    MutexLock lock(&mu_);
    vit::v1::RunState& state = states_[run.id()];
    if (state == run.state()) return;
    state = run.state();
  }
  const std::string state = ShortEnumName(
      vit::v1::RunState_descriptor()->FindValueByNumber(static_cast<int>(run.state())));
  const std::string message = absl::StrCat("run ", state);
  if (run.has_end_time() &&
      absl::FromUnixSeconds(run.end_time().seconds()) < start_ - absl::Seconds(1)) {
    logger_->Debug(message, {{"run", run.id()}, {"name", run.name()}, {"step", run.step()}});
    return;
  }
  if (run.state() == vit::v1::RUN_STATE_FAILED) {
    logger_->Error(
        message,
        {{"run", run.id()}, {"name", run.name()}, {"step", run.step()}, {"why", run.message()}});
  } else if (run.message().empty()) {
    logger_->Info(message, {{"run", run.id()}, {"name", run.name()}, {"step", run.step()}});
  } else {
    logger_->Info(
        message,
        {{"run", run.id()}, {"name", run.name()}, {"step", run.step()}, {"note", run.message()}});
  }
}

void RunLog::OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) {
  if (point.split() == vit::v1::SPLIT_TRAIN) {
    logger_->Debug("training", {{"run", run.id()},
                                {"step", point.step()},
                                {"loss", point.loss()},
                                {"accuracy", point.accuracy()},
                                {"learning_rate", point.learning_rate()},
                                {"images_per_second", point.images_per_second()}});
  } else {
    logger_->Info("evaluated", {{"run", run.id()},
                                {"step", point.step()},
                                {"loss", point.loss()},
                                {"accuracy", point.accuracy()}});
  }
}

void RunLog::OnCheckpoint(const std::string& run, const vit::v1::CheckpointInfo& checkpoint,
                          absl::Duration write_time) {
  logger_->Info("checkpoint written", {{"run", run},
                                       {"step", checkpoint.step()},
                                       {"seconds", absl::ToDoubleSeconds(write_time)},
                                       {"best", checkpoint.best() ? "yes" : "no"}});
}

void RunLog::OnCheckpointFailed(const std::string& run, int64_t step, const absl::Status& why) {
  const std::string reason(why.message());
  logger_->Error("checkpoint not written; the previous one stays",
                 {{"run", run}, {"step", step}, {"why", reason}});
}

void RunLog::OnBadImage(const std::string& run, const std::string& name, const absl::Status& why) {
  const std::string reason(why.message());
  logger_->Warning("unreadable image, left out", {{"run", run}, {"image", name}, {"why", reason}});
}

void RunLog::OnRunDeleted(const std::string& run) {
  {
    MutexLock lock(&mu_);
    states_.erase(run);
  }
  logger_->Info("run deleted", {{"run", run}});
}

}  // namespace vit
