// Takes runs from the queue and trains them, one at a time.
#ifndef VIT_CORE_RUNS_RUN_WORKER_H_
#define VIT_CORE_RUNS_RUN_WORKER_H_

#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "core/runs/run_ledger.h"
#include "core/runs/run_manager.h"
#include "core/runs/run_recorder.h"

namespace vit {

// One thread follows the queue; each run trains on its own thread, made by ComputeBudget with the
// run's number of compute threads. Thread-safe. Destruction asks the current run to stop and waits
// for it.
class RunWorker {
 public:
  struct Options {
    RunManager::Options manager;  // with environment.find_checkpoint set
    RunRecorder::Parts recorder;
    const CheckpointLeases* leases = nullptr;
  };
  explicit RunWorker(Options options);
  ~RunWorker();

  // Asks the run to stop if it is the current one.
  void RequestStop(const std::string& run);

  // Starts no further run; asks the current one to stop and waits for its end, or until `deadline`,
  // when it is set INTERRUPTED in any case. Returns whether it has ended.
  bool Shutdown(absl::Time deadline);

 private:
  void FollowQueue();
  void RunOne(const std::string& run);
  // Trains on its own thread. `note`: TrainerOptions::note.
  absl::StatusOr<TrainOutcome> TrainRun(const std::string& run, const std::stop_token& stop,
                                        const std::string& note);
  absl::StatusOr<TrainOutcome> Execute(const std::string& run, const std::stop_token& stop,
                                       const std::string& note);
  // Returns whether the device was lost; reports the loss.
  bool IsDeviceLost(const std::string& run);
  void Finish(const std::string& run, const absl::StatusOr<TrainOutcome>& outcome,
              bool stop_requested);

  const Options options_;
  RunLedger& ledger_;
  Mutex mu_;
  CondVar ended_;
  bool shutting_down_ VIT_GUARDED_BY(mu_) = false;
  bool done_ VIT_GUARDED_BY(mu_) = false;
  std::string active_run_ VIT_GUARDED_BY(mu_);  // empty between runs
  std::stop_source active_stop_ VIT_GUARDED_BY(mu_);
  std::thread thread_;  // last: joins before anything it uses is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_WORKER_H_
