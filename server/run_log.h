// Events of runs, for the daemon's log and for several listeners at once.
#ifndef VIT_SERVER_RUN_LOG_H_
#define VIT_SERVER_RUN_LOG_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/runs/run_manager.h"
#include "server/logging.h"

namespace vit {

// Logs changes of state, evaluations, checkpoints, and what went wrong. Runs that ended before this
// was made are logged for debugging only. Thread-safe.
class RunLog : public RunListener {
 public:
  // `logger` must outlive this.
  RunLog(Logger* logger, Clock* clock) : logger_(logger), start_(clock->Now()) {}

  void OnRunChanged(const vit::v1::Run& run) override;
  void OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) override;
  void OnCheckpoint(const std::string& run, const vit::v1::CheckpointInfo& checkpoint,
                    absl::Duration write_time) override;
  void OnCheckpointFailed(const std::string& run, int64_t step, const absl::Status& why) override;
  void OnBadImage(const std::string& run, const std::string& name,
                  const absl::Status& why) override;
  void OnRunDeleted(const std::string& run) override;

 private:
  Logger* const logger_;
  const absl::Time start_;
  Mutex mu_;
  std::map<std::string, vit::v1::RunState> states_ VIT_GUARDED_BY(mu_);
};

// Passes every event on to each of `listeners`, in order.
class RunListeners : public RunListener {
 public:
  explicit RunListeners(std::vector<RunListener*> listeners) : listeners_(std::move(listeners)) {}

  void OnRunChanged(const vit::v1::Run& run) override {
    for (RunListener* l : listeners_) l->OnRunChanged(run);
  }
  void OnStep(const std::string& run, const TrainObserver::Step& step) override {
    for (RunListener* l : listeners_) l->OnStep(run, step);
  }
  void OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) override {
    for (RunListener* l : listeners_) l->OnMetrics(run, point);
  }
  void OnCheckpoint(const std::string& run, const vit::v1::CheckpointInfo& checkpoint,
                    absl::Duration write_time) override {
    for (RunListener* l : listeners_) l->OnCheckpoint(run, checkpoint, write_time);
  }
  void OnCheckpointFailed(const std::string& run, int64_t step, const absl::Status& why) override {
    for (RunListener* l : listeners_) l->OnCheckpointFailed(run, step, why);
  }
  void OnBadImage(const std::string& run, const std::string& name,
                  const absl::Status& why) override {
    for (RunListener* l : listeners_) l->OnBadImage(run, name, why);
  }
  void OnRunDeleted(const std::string& run) override {
    for (RunListener* l : listeners_) l->OnRunDeleted(run);
  }

 private:
  const std::vector<RunListener*> listeners_;
};

}  // namespace vit

#endif  // VIT_SERVER_RUN_LOG_H_
