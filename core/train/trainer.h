// Trains one model: the loop, evaluation, checkpoints.
#ifndef VIT_CORE_TRAIN_TRAINER_H_
#define VIT_CORE_TRAIN_TRAINER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/data/loader/loader.h"
#include "core/train/resolve_spec.h"
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

struct TrainerOptions {
  ResolvedSpec resolved;
  TrainingEnvironment environment;
  // The run's folder; checkpoints go to directory/checkpoints/step-000001000/.
  std::filesystem::path directory;
  // Comes before what OnStart's note has to say; may be empty.
  std::string note;
  TrainObserver* observer = nullptr;
  Clock* clock = Clock::Real();
  // Whether the checkpoint of this step is being served and must stay. Called on the checkpoint
  // writer's thread.
  std::function<bool(int64_t step)> is_served = [](int64_t) { return false; };
};

// kStoppedEarly: finished before the last step, because the evaluations no longer improved.
enum class TrainOutcome { kFinished, kStopped, kStoppedEarly };

// Runs the training on the calling thread, which must be one that ComputeBudget::StartThread made
// with the spec's compute_threads: from the last checkpoint in options.directory where there is
// one, else from the beginning. A request on `stop` ends it soon, after a checkpoint: kStopped.
// Blocks until the last checkpoint is on disk.
//
// FAILED_PRECONDITION where the data's fingerprint differs from the checkpoint's; INTERNAL where
// the loss is no longer finite (names the step and learning rate); RESOURCE_EXHAUSTED out of
// memory, or where the last checkpoint could not be written; INVALID_ARGUMENT where too many
// pictures are bad. The last good checkpoint stays.
absl::StatusOr<TrainOutcome> Train(const TrainerOptions& options, std::stop_token stop);

// The complete checkpoints in a run's folder, by ascending step. Cheap: checksums are verified when
// one is loaded. One that cannot be understood is skipped.
std::vector<vit::v1::CheckpointInfo> ListCheckpoints(const std::filesystem::path& run_directory);

// What a checkpoint's folder knows of how its step was evaluated. NOT_FOUND where that is nothing,
// DATA_LOSS where it is damaged.
absl::StatusOr<vit::v1::Evaluation> ReadEvaluation(const std::filesystem::path& checkpoint);

// directory/checkpoints/step-000001000
std::filesystem::path CheckpointPath(const std::filesystem::path& run_directory, int64_t step);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_TRAINER_H_
