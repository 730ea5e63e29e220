// Training runs: validated, stored, queued, and run one at a time in a worker thread; any number of
// callers can follow them.
#ifndef VIT_CORE_RUNS_RUN_MANAGER_H_
#define VIT_CORE_RUNS_RUN_MANAGER_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/models/servable_model.h"
#include "core/runs/run_listener.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/plan_run.h"
#include "core/train/trainer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Owns the runs of one state directory and the thread that trains. Thread-safe; no call but
// Shutdown waits for the trainer. docs/ and training.proto describe the states.
class RunManager : public ModelSource {
 public:
  struct Options {
    std::filesystem::path state_dir;
    // The manager sets its `models`: its own runs, and `repository`.
    TrainingEnvironment environment;
    ModelSource* repository = nullptr;  // may be null; must outlive the manager
    int max_queued_runs = 100;          // waiting; beyond it Start returns RESOURCE_EXHAUSTED
    bool resume_interrupted = true;
    // Threads that load training data, overriding a run's spec; changes speed only. 0 keeps the
    // spec's.
    int loader_threads = 0;
    RunListener* listener = nullptr;  // may be null; must outlive the manager
    Clock* clock = Clock::Real();
    // The device no longer computes, for the reason `why`, and will not in this process: the
    // current run is INTERRUPTED, and no other starts. Called at most once, on the worker's thread.
    std::function<void(const absl::Status& why)> on_device_lost = [](const absl::Status&) {};

    // What the manager drives; replaced only in tests of its own life cycle.
    std::function<absl::StatusOr<ResolvedSpec>(
        const std::string& preset, const vit::v1::TrainingSpec& spec,
        const TrainingEnvironment& environment, const ExistingRun& run)>
        plan = PlanRun;
    std::function<absl::StatusOr<TrainOutcome>(const TrainerOptions& options, std::stop_token stop)>
        train = Train;
    std::function<std::vector<vit::v1::CheckpointInfo>(const std::filesystem::path& run_directory)>
        list_checkpoints = [](const std::filesystem::path& run_directory) {
          return ListCheckpoints(run_directory);
        };
    // Called after a run has failed.
    std::function<absl::Status(const Device& device)> probe_device = [](const Device& device) {
      return device.Probe();
    };
  };

  // Opens runs.db (FAILED_PRECONDITION if a newer version wrote it), reconciles it with the
  // checkpoint directories, and starts the worker, interrupted runs first. The caller holds the
  // state directory's lock.
  static absl::StatusOr<std::unique_ptr<RunManager>> Create(Options options);
  // Asks a running run to stop, as Shutdown does, and waits for its end however long that takes.
  ~RunManager() override = default;

  // Returns whether the caller has given up. Called once everything is checked, right before the
  // run is stored and queued; if true, nothing is stored, and the status is CANCELLED.
  using Cancelled = std::function<bool()>;
  virtual absl::StatusOr<vit::v1::StartTrainingResponse> Start(
      const vit::v1::StartTrainingRequest& request, const Cancelled& cancelled) = 0;
  absl::StatusOr<vit::v1::StartTrainingResponse> Start(
      const vit::v1::StartTrainingRequest& request) {
    return Start(request, [] { return false; });
  }

  // `run`: an id, a unique prefix of one, a unique name, or "" for the latest. NOT_FOUND names the
  // latest runs.
  virtual absl::StatusOr<vit::v1::StatusResponse> GetStatus(const std::string& run) = 0;
  virtual absl::StatusOr<vit::v1::ListRunsResponse> List(
      const vit::v1::ListRunsRequest& request) = 0;
  virtual absl::StatusOr<vit::v1::Run> Stop(const std::string& run) = 0;
  virtual absl::StatusOr<vit::v1::Run> Resume(const vit::v1::ResumeRunRequest& request,
                                              const Cancelled& cancelled) = 0;
  absl::StatusOr<vit::v1::Run> Resume(const vit::v1::ResumeRunRequest& request) {
    return Resume(request, [] { return false; });
  }
  // The run is gone when this returns; files that a lease holds are removed with the lease.
  virtual absl::Status Delete(const std::string& run) = 0;
  virtual absl::StatusOr<vit::v1::GetHistoryResponse> GetHistory(
      const vit::v1::GetHistoryRequest& request) = 0;
  virtual absl::StatusOr<vit::v1::GetEvaluationResponse> GetEvaluation(
      const vit::v1::GetEvaluationRequest& request) = 0;

  // Follows a run: calls `on_change`, with no lock held and from any thread, whenever something
  // about the run changed (the caller then asks again), until the returned handle is destroyed.
  // Destroying it waits for a call in progress.
  virtual absl::StatusOr<std::shared_ptr<void>> Subscribe(const std::string& run,
                                                          std::function<void()> on_change) = 0;

  // Returns the checkpoint that `ref`, a run's or the latest, means now: that of the step it names,
  // else the best, else the last. The latest is that of the most recently started run that has one.
  // UNAVAILABLE if there is none yet. Cheap.
  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override = 0;

  // Takes no new work; asks the running run to write a checkpoint and stop, waits for it until
  // `deadline`, and leaves it INTERRUPTED so that the next start continues it. Queued runs stay
  // queued. From then on, calls that change a run return UNAVAILABLE; those that read still work.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_MANAGER_H_
