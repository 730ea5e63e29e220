// Writes checkpoints beside the training.
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

// One thread that writes one checkpoint at a time, tells the observer, and removes old ones.
// Destruction waits for the one being written.
class CheckpointWriter {
 public:
  // The options' observer must outlive the writer.
  explicit CheckpointWriter(const TrainerOptions& options);
  ~CheckpointWriter();

  // Waits until the checkpoint before has been written, so that its snapshot's memory may be used
  // again.
  void AwaitIdle();

  // Hands over a checkpoint, once idle. Its tensors must not change until AwaitIdle returns.
  void Write(Checkpoint checkpoint);

  // What became of the last checkpoint written; OK where there was none.
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
  std::thread thread_;  // last: joins before what it uses goes
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_WRITER_H_
