// Training runs: validated, stored, queued, run one at a time in a worker thread, followed by
// anyone who asks.
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
// Shutdown waits for the trainer. The rules of states are those of docs/ and training.proto.
class RunManager : public ModelSource {
 public:
  struct Options {
    std::filesystem::path state_dir;
    // Its `models` are set by the manager: its own runs, and `repository`.
    TrainingEnvironment environment;
    ModelSource* repository = nullptr;  // may be null; must outlive the manager
    int max_queued_runs = 100;          // waiting; beyond it Start returns RESOURCE_EXHAUSTED
    bool resume_interrupted = true;
    // Threads that load training data, whatever a run's spec says; changes speed only. 0: the
    // spec's.
    int loader_threads = 0;
    RunListener* listener = nullptr;  // may be null; must outlive the manager
    Clock* clock = Clock::Real();
    // The device no longer computes, as `why` says, and will not in this process: the present run
    // is INTERRUPTED, and no other starts. Called once at most, on the worker's thread.
    std::function<void(const absl::Status& why)> on_device_lost = [](const absl::Status&) {};

    // What the manager drives; replaced only where its own life cycle is tested.
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
    // Asked after a run has failed.
    std::function<absl::Status(const Device& device)> probe_device = [](const Device& device) {
      return device.Probe();
    };
  };

  // Opens runs.db (newer versions are refused: FAILED_PRECONDITION), reconciles it with the
  // checkpoint directories, and starts the worker, interrupted runs first. The caller holds the
  // state directory's lock.
  static absl::StatusOr<std::unique_ptr<RunManager>> Create(Options options);
  // Asks a running run to stop, as Shutdown does, and waits for its end however long that takes.
  ~RunManager() override = default;

  // Whether the caller has given up. Asked once everything is checked, right before the run is
  // stored and queued: where it says yes, nothing is, and the answer is CANCELLED.
  using Cancelled = std::function<bool()>;
  virtual absl::StatusOr<vit::v1::StartTrainingResponse> Start(
      const vit::v1::StartTrainingRequest& request, const Cancelled& cancelled) = 0;
  absl::StatusOr<vit::v1::StartTrainingResponse> Start(
      const vit::v1::StartTrainingRequest& request) {
    return Start(request, [] { return false; });
  }

  // `run`: an id, a unique prefix of one, a unique name, or "" for the latest. NOT_FOUND says which
  // runs there are.
  virtual absl::StatusOr<vit::v1::StatusResponse> GetStatus(const std::string& run) = 0;
  virtual absl::StatusOr<vit::v1::ListRunsResponse> List(
      const vit::v1::ListRunsRequest& request) = 0;
  virtual absl::StatusOr<vit::v1::Run> Stop(const std::string& run) = 0;
  virtual absl::StatusOr<vit::v1::Run> Resume(const vit::v1::ResumeRunRequest& request,
                                              const Cancelled& cancelled) = 0;
  absl::StatusOr<vit::v1::Run> Resume(const vit::v1::ResumeRunRequest& request) {
    return Resume(request, [] { return false; });
  }
  // The run is gone when this returns; files that a lease holds go with the lease.
  virtual absl::Status Delete(const std::string& run) = 0;
  virtual absl::StatusOr<vit::v1::GetHistoryResponse> GetHistory(
      const vit::v1::GetHistoryRequest& request) = 0;
  virtual absl::StatusOr<vit::v1::GetEvaluationResponse> GetEvaluation(
      const vit::v1::GetEvaluationRequest& request) = 0;

  // Follows a run: `on_change` is called, with no lock held and from any thread, whenever something
  // about it changed (the caller then asks again), until the returned handle goes; destroying the
  // handle waits for a call in progress.
  virtual absl::StatusOr<std::shared_ptr<void>> Subscribe(const std::string& run,
                                                          std::function<void()> on_change) = 0;

  // The checkpoint that `ref`, a run's or the latest, means now: of the step that it names, else
  // the best, else the last. The latest is the most recently started run that has one. UNAVAILABLE
  // where there is none yet. Cheap.
  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override = 0;

  // Takes no new work; asks the running run to write a checkpoint and stop, waits for it until
  // `deadline`, and leaves it INTERRUPTED so that the next start goes on with it. Queued runs stay
  // queued. From then on calls that change a run return UNAVAILABLE; those that read still answer.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_MANAGER_H_
