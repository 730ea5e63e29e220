// What the tests of core/runs share: a state folder, a trainer that does what the test says, a
// listener that remembers.
#ifndef VIT_TESTS_CORE_RUNS_TESTING_H_
#define VIT_TESTS_CORE_RUNS_TESTING_H_

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/data/dataset.h"
#include "core/runs/run_manager.h"
#include "core/train/trainer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// A folder that exists as long as this object.
class StateFolder {
 public:
  StateFolder();
  ~StateFolder();
  StateFolder(const StateFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // A copy of the folder as it is now: what a process that is killed at this moment leaves behind.
  std::unique_ptr<StateFolder> Copy() const;

 private:
  std::filesystem::path path_;
};

vit::v1::MetricPoint Point(int64_t step, vit::v1::Split split, double loss);
vit::v1::CheckpointInfo Checkpoint(int64_t step, bool best = false);

// A stand-in for Train, ResolveSpec and ListCheckpoints, so that a test decides what happens when.
// Each call of Train is a session; it does what the test thread asks, on its own thread, until it
// is finished or asked to stop, when it writes a checkpoint and returns kStopped. Thread-safe.
class ScriptedTrainer {
 public:
  class Session {
   public:
    const TrainerOptions& options() const { return options_; }
    std::string run() const { return options_.directory.filename().string(); }
    // Runs `action` on the training thread, and waits for it.
    void Do(std::function<void(TrainObserver* observer)> action);
    // One step after the other up to `step`, with a point of the training history for each.
    void StepTo(int64_t step);
    // Writes the files of a checkpoint and tells the observer, as the trainer does.
    void WriteCheckpoint(int64_t step, bool best = false);
    // Ends the session.
    void Finish(absl::StatusOr<TrainOutcome> outcome);
    bool stop_requested() const { return stop_.stop_requested(); }

   private:
    friend class ScriptedTrainer;
    Session(const TrainerOptions& options, std::stop_token stop) : options_(options), stop_(stop) {}
    absl::StatusOr<TrainOutcome> Run(bool ignore_stop);

    const TrainerOptions& options_;
    const std::stop_token stop_;
    Mutex mu_;
    CondVar changed_;
    std::deque<std::function<void()>> actions_ VIT_GUARDED_BY(mu_);
    std::optional<absl::StatusOr<TrainOutcome>> outcome_ VIT_GUARDED_BY(mu_);
    int64_t step_ = 0;  // of the training thread
  };

  // Sets resolve, train and list_checkpoints.
  void Install(RunManager::Options* options);
  // The next session, once it has begun.
  std::shared_ptr<Session> Await();
  // Sessions begun so far, by run.
  std::vector<std::string> begun();

  // Sets the fake data set's fingerprint, from the next resolve on.
  void set_fingerprint(const std::string& fingerprint);
  // What resolving a spec fails with from now on.
  void set_resolve_error(const absl::Status& error);
  // Sessions continue after a request to stop, until they are finished.
  void set_ignore_stop(bool ignore);

 private:
  absl::StatusOr<ResolvedSpec> Resolve(const std::string& preset,
                                       const vit::v1::TrainingSpec& spec);
  absl::StatusOr<TrainOutcome> Train(const TrainerOptions& options, std::stop_token stop);

  Mutex mu_;
  CondVar changed_;
  std::deque<std::shared_ptr<Session>> waiting_ VIT_GUARDED_BY(mu_);
  std::vector<std::string> begun_ VIT_GUARDED_BY(mu_);
  std::string fingerprint_ VIT_GUARDED_BY(mu_) = "0123456789abcdef";
  absl::Status resolve_error_ VIT_GUARDED_BY(mu_);
  bool ignore_stop_ VIT_GUARDED_BY(mu_) = false;
};

// Remembers each call as a line, such as "state ID running" or "step ID 3".
class RecordingListener : public RunListener {
 public:
  void OnRunChanged(const vit::v1::Run& run) override;
  void OnStep(const std::string& run, const TrainObserver::Step& step) override;
  void OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) override;
  void OnCheckpoint(const std::string& run, const vit::v1::CheckpointInfo& checkpoint,
                    absl::Duration write_time) override;
  void OnCheckpointFailed(const std::string& run, int64_t step, const absl::Status& why) override;
  void OnBadImage(const std::string& run, const std::string& name,
                  const absl::Status& why) override;
  void OnRunDeleted(const std::string& run) override;

  std::vector<std::string> lines();
  // Waits until `line` was heard.
  void Await(const std::string& line);

 private:
  void Add(const std::string& line);
  Mutex mu_;
  CondVar changed_;
  std::vector<std::string> lines_ VIT_GUARDED_BY(mu_);
  std::string last_state_ VIT_GUARDED_BY(mu_);
};

// Waits, for ten seconds at most, until the run satisfies `condition`; returns it as it was last.
vit::v1::Run AwaitRun(RunManager* manager, const std::string& run,
                      const std::function<bool(const vit::v1::Run&)>& condition);
vit::v1::Run AwaitState(RunManager* manager, const std::string& run, vit::v1::RunState state);

}  // namespace vit

#endif  // VIT_TESTS_CORE_RUNS_TESTING_H_
