// Trains one model: the loop, evaluation, checkpoints.
#ifndef VIT_CORE_TRAIN_TRAINER_H_
#define VIT_CORE_TRAIN_TRAINER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/train/resolve_spec.h"
#include "core/train/train_observer.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct TrainerOptions {
  ResolvedSpec resolved;
  TrainingEnvironment environment;
  // The run's folder; checkpoints go to directory/checkpoints/step-000001000/.
  std::filesystem::path directory;
  // Precedes OnStart's own note; may be empty.
  std::string note;
  TrainObserver* observer = nullptr;
  Clock* clock = Clock::Real();
  // Whether the checkpoint of this step is being served and must stay. Called on the checkpoint
  // writer's thread.
  std::function<bool(int64_t step)> is_served = [](int64_t) { return false; };
};

// kStoppedEarly: finished before the last step, because the evaluations no longer improved.
enum class TrainOutcome { kFinished, kStopped, kStoppedEarly };

// Trains on the calling thread, which ComputeBudget::StartThread must have started with the spec's
// compute_threads: from the last checkpoint in options.directory if there is one, else from the
// beginning. A request on `stop` ends it soon, after a checkpoint: kStopped. Blocks until the last
// checkpoint is on disk.
//
// FAILED_PRECONDITION if the data's fingerprint differs from the checkpoint's; INTERNAL if the loss
// is no longer finite (names the step and learning rate); RESOURCE_EXHAUSTED if memory runs out or
// the last checkpoint could not be written; INVALID_ARGUMENT if too many images are bad. The last
// good checkpoint stays.
absl::StatusOr<TrainOutcome> Train(const TrainerOptions& options, std::stop_token stop);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_TRAINER_H_
