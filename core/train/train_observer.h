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

// Receives what the trainer reports; the trainer knows none of its observers. Called on the
// training thread unless stated otherwise; must return quickly and never throw.
class TrainObserver {
 public:
  struct Step {
    int64_t step = 0;  // updates done
    int samples = 0;   // images in this update
    absl::Duration data_wait;
    // On a CUDA device, steps wait for each other: it is right on average over log_every_steps.
    absl::Duration compute;
    absl::Duration checkpoint;  // time spent on taking a snapshot
  };
  virtual ~TrainObserver() = default;

  // "preparing data", "training", "evaluating", "writing checkpoint"; `progress` is 0..1 within the
  // phase.
  virtual void OnPhase(const std::string& phase, double progress) = 0;
  virtual void OnStep(const Step& step) = 0;
  // A new entry of the history.
  virtual void OnMetrics(const vit::v1::MetricPoint& point) = 0;
  // A checkpoint of `step` is written and about to get its name. Everything that OnMetrics reported
  // up to `step` must be durable when this returns, because a resume does not report it again; on
  // an error the checkpoint is dropped. Called on the checkpoint writer's thread.
  virtual absl::Status OnBeforeCheckpoint(int64_t step) = 0;
  // A checkpoint is complete on disk. Called on the checkpoint writer's thread.
  virtual void OnCheckpoint(const vit::v1::CheckpointInfo& checkpoint,
                            absl::Duration write_time) = 0;
  // A checkpoint could not be written; training continues and the previous one stays. Called on the
  // checkpoint writer's thread.
  virtual void OnCheckpointFailed(int64_t step, const absl::Status& why) = 0;
  // Called on a loader thread, once per image.
  virtual void OnBadImage(const BadImage& image) = 0;
  // The run starts or continues after `step`, before its first update. `note` says, for example,
  // why a resume is inexact; may be empty. The observer drops the history after `step`.
  virtual void OnStart(int64_t step, const std::string& note) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_TRAIN_OBSERVER_H_
