#include "core/train/checkpoint/checkpoint_writer.h"

#include <utility>

#include "core/base/compute/compute_budget.h"
#include "core/base/status.h"
#include "core/train/checkpoint/checkpoint_info.h"

namespace vit {

CheckpointWriter::CheckpointWriter(const TrainerOptions& options)
    : directory_(options.directory),
      observer_(options.observer),
      clock_(options.clock),
      keep_last_(options.resolved.spec.checkpoint().keep_last()),
      is_served_(options.is_served) {
  thread_ = ComputeBudget::StartThread("checkpoint", 1, [this] { Loop(); });
}

CheckpointWriter::~CheckpointWriter() {
  {
    MutexLock lock(&mu_);
    closing_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void CheckpointWriter::AwaitIdle() {
  MutexLock lock(&mu_);
  while (pending_.has_value() || busy_) changed_.Wait(&mu_);
}

void CheckpointWriter::Write(Checkpoint checkpoint) {
  MutexLock lock(&mu_);
  pending_ = std::move(checkpoint);
  changed_.NotifyAll();
}

absl::Status CheckpointWriter::last_status() {
  MutexLock lock(&mu_);
  return last_status_;
}

void CheckpointWriter::Loop() {
  while (true) {
    std::optional<Checkpoint> checkpoint;
    {
      MutexLock lock(&mu_);
      while (!pending_.has_value() && !closing_) changed_.Wait(&mu_);
      if (!pending_.has_value()) return;
      checkpoint = std::exchange(pending_, std::nullopt);
      busy_ = true;
    }
    absl::Status status = CatchExceptions("write", [&] { return WriteOne(*checkpoint); });
    if (!status.ok()) observer_->OnCheckpointFailed(checkpoint->state.step, status);
    checkpoint.reset();
    MutexLock lock(&mu_);
    last_status_ = std::move(status);
    busy_ = false;
    changed_.NotifyAll();
  }
}

absl::Status CheckpointWriter::WriteOne(const Checkpoint& checkpoint) {
  const int64_t step = checkpoint.state.step;
  const absl::Time start = clock_->Now();
  VIT_RETURN_IF_ERROR(
      WriteCheckpoint(directory_, checkpoint, [&] { return observer_->OnBeforeCheckpoint(step); }));
  for (const vit::v1::CheckpointInfo& info : ListCheckpoints(directory_)) {
    if (info.step() == step) observer_->OnCheckpoint(info, clock_->Now() - start);
  }
  // What cannot be removed now is tried again after the next checkpoint.
  (void)RemoveOldCheckpoints(directory_, keep_last_, is_served_);
  return absl::OkStatus();
}

}  // namespace vit
