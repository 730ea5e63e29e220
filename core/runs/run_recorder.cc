#include "core/runs/run_recorder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/time.h"

namespace vit {

using vit::v1::CheckpointInfo;
using vit::v1::MetricPoint;
using vit::v1::Run;

namespace {

// The run itself continues; its history is in the database.
std::string NoEvents(const absl::Status& why) {
  return absl::StrCat("TensorBoard's events are not written: ", why.message());
}

void SetTimeLeft(std::optional<absl::Duration> left, Run* run) {
  run->clear_time_left();
  if (left.has_value()) *run->mutable_time_left() = ToProto(*left);
}

}  // namespace

RunRecorder::RunRecorder(Parts parts, std::string run, std::filesystem::path directory,
                         int64_t steps_per_epoch)
    : parts_(std::move(parts)),
      run_(std::move(run)),
      directory_(std::move(directory)),
      steps_per_epoch_(steps_per_epoch) {}

void RunRecorder::OnPhase(const std::string& phase, double progress) {
  if (phase != "training") meter_.OnPause();
  const bool entered = phase != std::exchange(phase_, phase);
  RunLedger::Tell tell;
  if (entered) tell = [](RunListener* listener, const Run& run) { listener->OnRunChanged(run); };
  parts_.ledger->Touch(
      run_,
      [&](RunRecord* record) {
        record->run.set_phase(phase);
        record->run.set_phase_progress(progress);
      },
      tell);
}

void RunRecorder::OnStep(const Step& step) {
  meter_.OnStep(parts_.clock->Now(), step.samples);
  parts_.ledger->Touch(run_, [&](RunRecord* record) {
    Run& run = record->run;
    run.set_step(step.step);
    if (steps_per_epoch_ > 0) {
      run.set_epoch(static_cast<double>(step.step) / static_cast<double>(steps_per_epoch_));
    }
    run.set_images_per_second(meter_.images_per_second());
    SetTimeLeft(meter_.TimeLeft(run.total_steps() - step.step), &run);
  });
  if (parts_.listener != nullptr) {
    parts_.dispatcher->Post(
        [listener = parts_.listener, run = run_, step] { listener->OnStep(run, step); });
  }
}

void RunRecorder::OnMetrics(const MetricPoint& point) {
  parts_.history->Add(run_, point);
  // An error is not lost: the points stay in the buffer, and the next checkpoint fails if they
  // still cannot be written.
  parts_.dispatcher->Post([history = parts_.history] { history->Flush().IgnoreError(); });
  if (tensorboard_ != nullptr) {
    parts_.dispatcher->Post([log = tensorboard_, ledger = parts_.ledger, run = run_, point] {
      const absl::Status added = log->Add(point);
      if (added.ok()) return;
      ledger->Touch(run, [&](RunRecord* record) { record->run.set_message(NoEvents(added)); });
    });
  }
  parts_.ledger->Touch(
      run_,
      [&](RunRecord* record) {
        record->run.set_step(point.step());
        record->run.set_epoch(point.epoch());
        *(point.split() == vit::v1::SPLIT_VALIDATION ? record->run.mutable_last_validation()
                                                     : record->run.mutable_last_train()) = point;
      },
      [point](RunListener* listener, const Run& run) { listener->OnMetrics(run, point); });
}

absl::Status RunRecorder::OnBeforeCheckpoint(int64_t) { return parts_.history->Sync(); }

void RunRecorder::OnCheckpoint(const CheckpointInfo& checkpoint, absl::Duration write_time) {
  std::string note;
  {
    MutexLock lock(&mu_);
    note = note_;
  }
  parts_.ledger
      ->Settle(run_,
               [&](RunRecord* record) {
                 AddCheckpoint(checkpoint, record);
                 record->run.set_message(note);
                 return absl::OkStatus();
               })
      .IgnoreError();
  if (parts_.listener == nullptr) return;
  parts_.dispatcher->Post([listener = parts_.listener, run = run_, checkpoint, write_time] {
    listener->OnCheckpoint(run, checkpoint, write_time);
  });
}

void RunRecorder::OnCheckpointFailed(int64_t step, const absl::Status& why) {
  parts_.ledger->Touch(
      run_,
      [&](RunRecord* record) {
        record->run.set_message(absl::StrCat("the checkpoint of step ", step,
                                             " could not be written: ", why.message()));
      },
      [step, why](RunListener* listener, const Run& run) {
        listener->OnCheckpointFailed(run.id(), step, why);
      });
}

void RunRecorder::OnBadImage(const BadImage& image) {
  constexpr int kNamesKept = 10;
  parts_.ledger->Touch(
      run_,
      [&](RunRecord* record) {
        Run& run = record->run;
        // Loader threads may report in any order.
        run.set_bad_images(std::max(run.bad_images(), image.bad_train_images));
        run.set_bad_validation_images(
            std::max(run.bad_validation_images(), image.bad_validation_images));
        if (run.first_bad_images_size() < kNamesKept) {
          run.add_first_bad_images(absl::StrCat(image.name, " (", image.why.message(), ")"));
        }
      },
      [name = image.name, why = image.why](RunListener* listener, const Run& run) {
        listener->OnBadImage(run.id(), name, why);
      });
}

void RunRecorder::OnStart(int64_t step, const std::string& note) {
  std::string message = note;
  if (const absl::Status dropped = parts_.history->DropAfter(run_, step); !dropped.ok()) {
    absl::StrAppend(&message, message.empty() ? "" : "; ", "history after step ", step,
                    " could not be dropped: ", dropped.message());
  }
  auto tensorboard = TensorBoardLog::Start(directory_, step, parts_.clock->Now());
  if (tensorboard.ok()) {
    tensorboard_ = *std::move(tensorboard);
  } else {
    absl::StrAppend(&message, message.empty() ? "" : "; ", NoEvents(tensorboard.status()));
  }
  {
    MutexLock lock(&mu_);
    note_ = message;
  }
  Run last_points;
  last_points.set_id(run_);
  const bool read = parts_.store->LoadLastPoints(&last_points).ok();
  // A checkpoint beyond `step` could not be loaded, and must not be served either.
  std::vector<CheckpointInfo> checkpoints = parts_.list_checkpoints(directory_);
  checkpoints.erase(std::remove_if(checkpoints.begin(), checkpoints.end(),
                                   [&](const CheckpointInfo& c) { return c.step() > step; }),
                    checkpoints.end());
  parts_.ledger
      ->Settle(run_,
               [&](RunRecord* record) {
                 Run& run = record->run;
                 run.set_step(step);
                 run.set_epoch(steps_per_epoch_ > 0 ? static_cast<double>(step) /
                                                          static_cast<double>(steps_per_epoch_)
                                                    : 0);
                 run.set_message(message);
                 if (read) {
                   run.clear_last_train();
                   run.clear_last_validation();
                   if (last_points.has_last_train()) {
                     *run.mutable_last_train() = last_points.last_train();
                   }
                   if (last_points.has_last_validation()) {
                     *run.mutable_last_validation() = last_points.last_validation();
                   }
                 }
                 SetCheckpoints(checkpoints, record);
                 GoOnFrom(step, record);
                 return absl::OkStatus();
               })
      .IgnoreError();
}

}  // namespace vit
