// Events of runs, for metrics and logs.
#ifndef VIT_CORE_RUNS_RUN_LISTENER_H_
#define VIT_CORE_RUNS_RUN_LISTENER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/train/train_observer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Receives the events of runs. Called with no lock held, one call at a time, in the order of the
// events; existing runs are reported first, perhaps before Create has returned. Must return
// quickly, and may call the manager, except Shutdown. Events that a listener does not override are
// ignored.
class RunListener {
 public:
  virtual ~RunListener() = default;
  // Its state, phase, checkpoints or message changed.
  virtual void OnRunChanged(const vit::v1::Run& run) {}
  virtual void OnStep(const std::string& run, const TrainObserver::Step& step) {}
  virtual void OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) {}
  virtual void OnCheckpoint(const std::string& run, const vit::v1::CheckpointInfo& checkpoint,
                            absl::Duration write_time) {}
  virtual void OnCheckpointFailed(const std::string& run, int64_t step, const absl::Status& why) {}
  virtual void OnBadImage(const std::string& run, const std::string& name,
                          const absl::Status& why) {}
  virtual void OnRunDeleted(const std::string& run) {}
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_LISTENER_H_
