#include "core/runs/run_worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/status.h"
#include "core/runs/resume_run.h"
#include "core/runs/state_layout.h"
#include "proto/time.h"

namespace vit {

using vit::v1::Run;

RunWorker::RunWorker(Options options)
    : options_(std::move(options)),
      ledger_(*options_.recorder.ledger),
      thread_([this] { FollowQueue(); }) {}

RunWorker::~RunWorker() {
  Shutdown(absl::InfinitePast());
  thread_.join();
}

void RunWorker::RequestStop(const std::string& run) {
  std::stop_source stop(std::nostopstate);
  {
    MutexLock lock(&mu_);
    if (active_run_ != run) return;
    stop = active_stop_;
  }
  // This runs the trainer's stop callbacks, so no lock is held.
  stop.request_stop();  // NOLINT(clang-analyzer-cplusplus.Move): assigned above
}

bool RunWorker::Shutdown(absl::Time deadline) {
  ledger_.CloseQueue();
  std::stop_source stop(std::nostopstate);
  {
    MutexLock lock(&mu_);
    shutting_down_ = true;
    if (!active_run_.empty()) stop = active_stop_;
  }
  stop.request_stop();
  std::string active;
  {
    MutexLock lock(&mu_);
    while (!done_) {
      if (options_.manager.clock->WaitUntil(&ended_, &mu_, deadline)) break;
    }
    if (done_) return true;
    active = active_run_;
  }
  if (!active.empty()) {
    ledger_
        .Settle(active,
                [](RunRecord* record) {
                  if (record->run.state() == vit::v1::RUN_STATE_RUNNING) {
                    record->run.set_state(vit::v1::RUN_STATE_INTERRUPTED);
                  }
                  return absl::OkStatus();
                })
        .IgnoreError();
  }
  return false;
}

void RunWorker::FollowQueue() {
  while (std::optional<std::string> run = ledger_.AwaitQueued()) RunOne(*run);
  MutexLock lock(&mu_);
  done_ = true;
  ended_.NotifyAll();
}

void RunWorker::RunOne(const std::string& run) {
  std::stop_source stop;
  {
    MutexLock lock(&mu_);
    if (shutting_down_) return;  // the queue is closed too
    active_run_ = run;
    active_stop_ = stop;
  }
  const absl::Time now = options_.manager.clock->Now();
  const int64_t start_order = ledger_.NextStartOrder();
  const absl::StatusOr<Run> started = ledger_.Settle(run, [&](RunRecord* record) -> absl::Status {
    Run& run = record->run;
    // It may have been stopped or deleted since it was seen in the queue.
    if (run.state() != vit::v1::RUN_STATE_QUEUED) {
      return absl::FailedPreconditionError("not queued");
    }
    run.set_state(vit::v1::RUN_STATE_RUNNING);
    if (!run.has_start_time()) *run.mutable_start_time() = ToProto(now);
    run.clear_end_time();
    run.clear_message();
    run.clear_bad_images();  // counted again
    run.clear_bad_validation_images();
    run.clear_first_bad_images();
    run.set_phase("preparing data");
    run.set_phase_progress(0);
    record->start_order = start_order;
    return absl::OkStatus();
  });
  if (started.ok()) {
    absl::StatusOr<TrainOutcome> outcome = TrainRun(run, stop.get_token(), "");
    if (IsOutOfDeviceMemory(outcome.status()) && !stop.stop_requested()) {
      // Tries again with the memory that the process kept for other tensors; served models may also
      // have been unloaded.
      options_.manager.environment.device.ReleaseUnusedMemory();
      outcome = TrainRun(
          run, stop.get_token(),
          absl::StrCat("the device's memory ran out at step ", ledger_.Get(run)->run.step(),
                       ", and the run continued by itself; if it runs out again, try a smaller "
                       "batch_size or more accumulation_steps"));
    }
    if (outcome.ok() || !IsDeviceLost(run)) Finish(run, outcome, stop.stop_requested());
  }
  MutexLock lock(&mu_);
  active_run_.clear();
}

absl::StatusOr<TrainOutcome> RunWorker::TrainRun(const std::string& run,
                                                 const std::stop_token& stop,
                                                 const std::string& note) {
  const std::optional<RunRecord> record = ledger_.Get(run);
  const int threads = record->spec.compute_threads() > 0
                          ? record->spec.compute_threads()
                          : options_.manager.environment.budget.training_threads();
  absl::StatusOr<TrainOutcome> outcome = absl::InternalError("never ran");
  std::thread trainer = ComputeBudget::StartThread(
      "vit-train", threads,
      [&] { outcome = CatchExceptions("training", [&] { return Execute(run, stop, note); }); },
      ComputeBudget::kTrainingNiceness);
  trainer.join();
  return outcome;
}

bool RunWorker::IsDeviceLost(const std::string& run) {
  const RunManager::Options& options = options_.manager;
  const absl::Status why = options.probe_device(options.environment.device);
  if (why.ok()) return false;
  ledger_.CloseQueue();
  options_.recorder.history->Sync().IgnoreError();  // the next start drops what a resume repeats
  ledger_
      .Settle(run,
              [&](RunRecord* record) {
                Run& run = record->run;
                *run.mutable_end_time() = ToProto(options.clock->Now());
                if (run.state() == vit::v1::RUN_STATE_STOPPING) {
                  run.set_state(vit::v1::RUN_STATE_STOPPED);
                } else {
                  run.set_state(vit::v1::RUN_STATE_INTERRUPTED);
                  run.set_message(absl::StrCat(
                      "interrupted: the device no longer computes: ", why.message(),
                      "; the run continues from its last checkpoint when vitd is started again"));
                  CountRestart(record);
                }
                return absl::OkStatus();
              })
      .IgnoreError();
  options.on_device_lost(why);
  return true;
}

absl::StatusOr<TrainOutcome> RunWorker::Execute(const std::string& run, const std::stop_token& stop,
                                                const std::string& note) {
  const RunManager::Options& options = options_.manager;
  const std::optional<RunRecord> record = ledger_.Get(run);
  VIT_ASSIGN_OR_RETURN(ResolvedSpec resolved, ResolveAgain(options, *record, record->spec));
  if (options.loader_threads > 0) {
    resolved.spec.mutable_data()->set_loader_threads(options.loader_threads);
  }
  if (stop.stop_requested()) return TrainOutcome::kStopped;

  // A run adopted from its folder does not know these yet, and data may change while it waits.
  ledger_.Touch(run, [&](RunRecord* known) {
    if (known->checkpoints.empty() && resolved.data != nullptr) SetData(*resolved.data, known);
    known->steps_per_epoch = resolved.steps_per_epoch;
    SetLength(resolved, &known->run);
    known->run.set_parameter_count(resolved.parameter_count);
  });
  TrainerOptions trainer;
  trainer.environment = options.environment;
  trainer.directory = StateLayout(options.state_dir).run(run);
  trainer.clock = options.clock;
  trainer.note = note;
  trainer.is_served = [this, run](int64_t step) {
    return !ledger_.MayRemoveCheckpoint(run, step, *options_.leases);
  };
  RunRecorder recorder(options_.recorder, run, trainer.directory, resolved.steps_per_epoch);
  trainer.observer = &recorder;
  trainer.resolved = std::move(resolved);
  return options.train(trainer, stop);
}

void RunWorker::Finish(const std::string& run, const absl::StatusOr<TrainOutcome>& outcome,
                       bool stop_requested) {
  const absl::Status history = options_.recorder.history->Sync();
  const absl::Time now = options_.manager.clock->Now();
  const bool stopped = outcome.ok() ? *outcome == TrainOutcome::kStopped
                                    : stop_requested && absl::IsCancelled(outcome.status());
  ledger_
      .Settle(run,
              [&](RunRecord* record) {
                Run& run = record->run;
                if (stopped) {
                  run.set_state(run.state() == vit::v1::RUN_STATE_STOPPING
                                    ? vit::v1::RUN_STATE_STOPPED
                                    : vit::v1::RUN_STATE_INTERRUPTED);
                } else if (outcome.ok()) {
                  run.set_state(vit::v1::RUN_STATE_SUCCEEDED);
                  if (*outcome == TrainOutcome::kStoppedEarly) {
                    run.set_message(absl::StrCat("stopped early at step ", run.step(), " of ",
                                                 run.total_steps(), ": ",
                                                 record->spec.early_stopping().patience(),
                                                 " evaluations in a row brought no improvement"));
                  }
                } else {
                  run.set_state(vit::v1::RUN_STATE_FAILED);
                  run.set_message(std::string(outcome.status().message()));
                }
                if (!history.ok()) {
                  run.set_message(
                      absl::StrCat(run.message(), run.message().empty() ? "" : "; ",
                                   "part of the history is not stored: ", history.message()));
                }
                *run.mutable_end_time() = ToProto(now);
                run.clear_phase();
                run.clear_phase_progress();
                run.clear_time_left();
                run.clear_images_per_second();
                return absl::OkStatus();
              })
      .IgnoreError();
}

}  // namespace vit
