// What the trainer reports while it trains.
#ifndef VIT_CORE_TRAIN_TRAIN_OBSERVER_H_
#define VIT_CORE_TRAIN_TRAIN_OBSERVER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/data/loader/sample_reader.h"
#include "vit/v1/training.pb.h"

namespace vit {

// What the trainer tells; it knows none of its observers. Called on the training thread unless said
// otherwise; must return quickly and never throw.
class TrainObserver {
 public:
  struct Step {
    int64_t step = 0;  // updates done
    int samples = 0;   // pictures in this update
    absl::Duration data_wait;
    absl::Duration compute;
    absl::Duration checkpoint;  // that this step was held up by taking a snapshot
  };
  virtual ~TrainObserver() = default;

  // "preparing data", "training", "evaluating", "writing checkpoint"; `progress` is 0..1 within the
  // phase.
  virtual void OnPhase(const std::string& phase, double progress) = 0;
  virtual void OnStep(const Step& step) = 0;
  // A new entry of the history.
  virtual void OnMetrics(const vit::v1::MetricPoint& point) = 0;
  // A checkpoint of `step` is written and about to get its name. Everything that OnMetrics told up
  // to `step` must be durable when this returns, as a resume from it tells none of that again; on
  // an error the checkpoint is dropped. On the checkpoint writer's thread.
  virtual absl::Status OnBeforeCheckpoint(int64_t step) = 0;
  // A checkpoint is on disk, whole. Called on the checkpoint writer's thread.
  virtual void OnCheckpoint(const vit::v1::CheckpointInfo& checkpoint,
                            absl::Duration write_time) = 0;
  // A checkpoint could not be written; training goes on and the previous one stays. On the
  // checkpoint writer's thread.
  virtual void OnCheckpointFailed(int64_t step, const absl::Status& why) = 0;
  // On a loader thread, once for each image.
  virtual void OnBadImage(const BadImage& image) = 0;
  // Where the run starts or continues, before the first step. `note` says that a resume is inexact
  // and why; else empty. The history after `step` is to be dropped.
  virtual void OnStart(int64_t step, const std::string& note) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_TRAIN_OBSERVER_H_
