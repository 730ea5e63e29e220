// Records what the trainer reports about one run.
#ifndef VIT_CORE_RUNS_RUN_RECORDER_H_
#define VIT_CORE_RUNS_RUN_RECORDER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/runs/events/event_dispatcher.h"
#include "core/runs/events/tensorboard_log.h"
#include "core/runs/progress_meter.h"
#include "core/runs/run_ledger.h"
#include "core/runs/store/history_buffer.h"
#include "core/runs/store/run_store.h"
#include "core/train/trainer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Publishes progress to the ledger, history and checkpoints to the database, history also to
// TensorBoard's files, and everything to the listener. The calls that the training thread makes
// while it trains take short locks and never wait for the disk.
class RunRecorder : public TrainObserver {
 public:
  struct Parts {
    RunLedger* ledger = nullptr;
    RunStore* store = nullptr;
    HistoryBuffer* history = nullptr;
    EventDispatcher* dispatcher = nullptr;
    RunListener* listener = nullptr;  // may be null
    Clock* clock = nullptr;
    std::function<std::vector<vit::v1::CheckpointInfo>(const std::filesystem::path&)>
        list_checkpoints;
  };
  // All parts must outlive the recorder.
  RunRecorder(Parts parts, std::string run, std::filesystem::path directory,
              int64_t steps_per_epoch);

  void OnPhase(const std::string& phase, double progress) override;
  void OnStep(const Step& step) override;
  void OnMetrics(const vit::v1::MetricPoint& point) override;
  absl::Status OnBeforeCheckpoint(int64_t step) override;
  void OnCheckpoint(const vit::v1::CheckpointInfo& checkpoint, absl::Duration write_time) override;
  void OnCheckpointFailed(int64_t step, const absl::Status& why) override;
  void OnBadImage(const BadImage& image) override;
  void OnStart(int64_t step, const std::string& note) override;

 private:
  const Parts parts_;
  const std::string run_;
  const std::filesystem::path directory_;
  const int64_t steps_per_epoch_;

  // Used by the training thread alone.
  ProgressMeter meter_;
  std::string phase_;
  // Also held by its tasks on the dispatcher. Null before OnStart, or if no file could be created.
  std::shared_ptr<TensorBoardLog> tensorboard_;

  Mutex mu_;
  // How the run was resumed; the run's message says so while nothing is more urgent.
  std::string note_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_RECORDER_H_
