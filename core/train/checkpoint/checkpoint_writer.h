// Writes checkpoints while the training continues.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_WRITER_H_
#define VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_WRITER_H_

#include <filesystem>
#include <functional>
#include <optional>
#include <thread>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/train/checkpoint/checkpoint.h"
#include "core/train/trainer.h"

namespace vit {

// A thread that writes one checkpoint at a time, notifies the observer and removes old checkpoints.
// Destruction waits for the checkpoint that is being written.
class CheckpointWriter {
 public:
  // The options' observer must outlive the writer.
  explicit CheckpointWriter(const TrainerOptions& options);
  ~CheckpointWriter();

  // Waits until the previous checkpoint is written, so that its snapshot's memory can be reused.
  void AwaitIdle();

  // Hands over a checkpoint; the writer must be idle. Its tensors must not change until AwaitIdle
  // returns.
  void Write(Checkpoint checkpoint);

  // Returns the status of the last checkpoint written; OK if there was none.
  absl::Status last_status();

 private:
  void Loop();
  absl::Status WriteOne(const Checkpoint& checkpoint);

  const std::filesystem::path directory_;
  TrainObserver* const observer_;
  Clock* const clock_;
  const int keep_last_;
  const std::function<bool(int64_t)> is_served_;

  Mutex mu_;
  CondVar changed_;
  std::optional<Checkpoint> pending_ VIT_GUARDED_BY(mu_);
  bool busy_ VIT_GUARDED_BY(mu_) = false;
  bool closing_ VIT_GUARDED_BY(mu_) = false;
  absl::Status last_status_ VIT_GUARDED_BY(mu_);
  std::thread thread_;  // last: joined before what it uses is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_WRITER_H_
