// The manager with the real trainer, on a model small enough for a test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/base/file.h"
#include "core/runs/run_manager.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "proto/spec_text.h"
#include "tests/core/runs/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using RunInfo = vit::v1::Run;

vit::v1::StartTrainingRequest Request() {
  vit::v1::StartTrainingRequest request;
  const absl::Status parsed = ParseMessageText(R"(
      spec {
        model { image_size: 32 patch_size: 8 embed_dim: 16 depth: 1 num_heads: 2 drop_path_rate: 0.1
                proj_drop_rate: 0.1 }
        data { source: "shapes:" loader_threads: 2 shapes { train_size: 48 val_size: 16 } }
        batch_size: 8 accumulation_steps: 2 max_steps: 13 seed: 3 compute_threads: 1
        precision: PRECISION_FLOAT32 log_every_steps: 2
        evaluation { every_steps: 4 } checkpoint { every_steps: 3 keep_last: 2 }
      })",
                                               &request);
  EXPECT_TRUE(parsed.ok()) << parsed;
  return request;
}

// Does something at a step's end, on the training thread, besides what the manager does.
class AtStep : public TrainObserver {
 public:
  AtStep(TrainObserver* inner, int64_t step, std::function<void()> action)
      : inner_(inner), step_(step), action_(std::move(action)) {}
  void OnPhase(const std::string& phase, double progress) override {
    inner_->OnPhase(phase, progress);
  }
  void OnStep(const Step& step) override {
    inner_->OnStep(step);
    if (step.step == step_) action_();
  }
  void OnMetrics(const vit::v1::MetricPoint& point) override { inner_->OnMetrics(point); }
  absl::Status OnBeforeCheckpoint(int64_t step) override {
    return inner_->OnBeforeCheckpoint(step);
  }
  void OnCheckpoint(const vit::v1::CheckpointInfo& checkpoint, absl::Duration time) override {
    inner_->OnCheckpoint(checkpoint, time);
  }
  void OnCheckpointFailed(int64_t step, const absl::Status& why) override {
    inner_->OnCheckpointFailed(step, why);
  }
  void OnBadImage(const BadImage& image) override { inner_->OnBadImage(image); }
  void OnStart(int64_t step, const std::string& note) override { inner_->OnStart(step, note); }

 private:
  TrainObserver* const inner_;
  const int64_t step_;
  const std::function<void()> action_;
};

std::unique_ptr<RunManager> Open(const fs::path& state_dir, int64_t at_step = 0,
                                 std::function<void()> action = nullptr) {
  RunManager::Options options;
  options.state_dir = state_dir;
  if (at_step > 0) {
    options.train = [=](TrainerOptions trainer, std::stop_token stop) {
      AtStep observer(trainer.observer, at_step, action);
      trainer.observer = &observer;
      return Train(trainer, stop);
    };
  }
  absl::StatusOr<std::unique_ptr<RunManager>> manager = RunManager::Create(options);
  EXPECT_TRUE(manager.ok()) << manager.status();
  return manager.ok() ? *std::move(manager) : nullptr;
}

// The history without what a clock measured.
std::string History(RunManager* manager, const std::string& run) {
  vit::v1::GetHistoryRequest request;
  request.set_run(run);
  auto history = manager->GetHistory(request);
  EXPECT_TRUE(history.ok()) << history.status();
  std::string all;
  for (vit::v1::MetricPoint& point : *history->mutable_points()) {
    point.clear_time();
    point.clear_images_per_second();
    all += point.ShortDebugString() + "\n";
  }
  return all;
}

std::string Weights(const fs::path& state_dir, const std::string& run, int64_t step) {
  const auto content =
      ReadFile(CheckpointPath(state_dir / "runs" / run, step) / "model.safetensors", 1 << 30);
  EXPECT_TRUE(content.ok()) << content.status();
  return content.value_or("");
}

// A copy of the state, checkpoints first: the history may be ahead of them, as after a kill, but
// never behind.
void CopyState(const fs::path& from, const fs::path& to) {
  while (true) {
    try {
      fs::remove_all(to);
      fs::create_directories(to);
      fs::copy(from / "runs", to / "runs", fs::copy_options::recursive);
      for (const char* name : {"runs.db", "runs.db-wal"}) fs::copy(from / name, to / name);
      return;
    } catch (const fs::filesystem_error&) {
      continue;  // the checkpoint's writer renamed a folder meanwhile
    }
  }
}

TEST(RunTrainingTest, RunTrainsToItsEndAndLeavesAServableCheckpoint) {
  StateFolder state;
  auto manager = Open(state.path());
  const auto started = manager->Start(Request());
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->total_steps(), 13);
  EXPECT_EQ(started->train_size(), 48);
  const std::string id = started->run().id();
  const RunInfo run =
      AwaitRun(manager.get(), id, [](const RunInfo& r) { return r.has_end_time(); });
  ASSERT_EQ(run.state(), vit::v1::RUN_STATE_SUCCEEDED) << run.message();
  EXPECT_EQ(run.step(), 13);
  EXPECT_EQ(run.class_count(), 10);
  EXPECT_EQ(run.last_checkpoint().step(), 13);
  EXPECT_EQ(run.last_validation().step(), 13);
  const auto lease = manager->Find(ModelRef());
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_TRUE(fs::exists(lease->directory / "model.safetensors"));
  EXPECT_EQ(lease->step, run.best_checkpoint().step());
  // The database knows exactly the checkpoints that are there.
  std::vector<int64_t> known, there;
  const auto status = manager->GetStatus(id);
  for (const auto& checkpoint : status->checkpoints()) known.push_back(checkpoint.step());
  for (const auto& checkpoint : ListCheckpoints(state.path() / "runs" / id)) {
    there.push_back(checkpoint.step());
  }
  EXPECT_EQ(known, there);
}

TEST(RunTrainingTest, KilledRunEndsWithTheHistoryAndWeightsOfAnUninterruptedOne) {
  StateFolder whole;
  auto manager = Open(whole.path());
  const std::string id = manager->Start(Request())->run().id();
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  const std::string history = History(manager.get(), id);
  const std::string weights = Weights(whole.path(), id, 13);
  ASSERT_FALSE(weights.empty());
  for (const int64_t step : {1, 5, 8, 12}) {
    StateFolder first, killed;
    {
      auto before = Open(first.path(), step, [&] { CopyState(first.path(), killed.path()); });
      const std::string run = before->Start(Request())->run().id();
      AwaitState(before.get(), run, vit::v1::RUN_STATE_SUCCEEDED);
    }
    auto after = Open(killed.path());
    const std::string run = after->GetStatus("")->run().id();
    AwaitState(after.get(), run, vit::v1::RUN_STATE_SUCCEEDED);
    EXPECT_EQ(History(after.get(), run), history) << "killed at step " << step;
    EXPECT_TRUE(Weights(killed.path(), run, 13) == weights)
        << "weights differ, killed at step " << step;
  }
}

TEST(RunTrainingTest, StoppedRunIsResumedToTheSameEnd) {
  StateFolder whole, stopped;
  auto manager = Open(whole.path());
  const std::string id = manager->Start(Request())->run().id();
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);

  RunManager* running = nullptr;
  auto other = Open(stopped.path(), 5, [&] { EXPECT_TRUE(running->Stop("").ok()); });
  running = other.get();
  const std::string run = other->Start(Request())->run().id();
  RunInfo info = AwaitState(other.get(), run, vit::v1::RUN_STATE_STOPPED);
  EXPECT_EQ(info.last_checkpoint().step(), 5);
  vit::v1::ResumeRunRequest resume;
  resume.set_run(run);
  resume.set_loader_threads(1);
  ASSERT_TRUE(other->Resume(resume).ok());
  AwaitState(other.get(), run, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(History(other.get(), run), History(manager.get(), id));
}

vit::v1::ResumeRunRequest Longer(const std::string& run) {
  vit::v1::ResumeRunRequest resume;
  resume.set_run(run);
  const absl::Status parsed = ParseMessageText(R"(
      max_steps: 24 optimizer { learning_rate: 5e-4 } schedule { type: SCHEDULE_TYPE_LINEAR }
      evaluation { best: BEST_METRIC_LOSS every_steps: 7 })",
                                               resume.mutable_changes());
  EXPECT_TRUE(parsed.ok()) << parsed;
  return resume;
}

TEST(RunTrainingTest, RunMadeLongerIsExactFromTheChangeOn) {
  StateFolder whole, interrupted;
  {
    auto manager = Open(whole.path());
    const std::string id = manager->Start(Request())->run().id();
    AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  }
  fs::copy(whole.path(), interrupted.path(), fs::copy_options::recursive);
  auto manager = Open(whole.path());
  const std::string id = manager->GetStatus("")->run().id();
  const auto resumed = manager->Resume(Longer(id));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->total_steps(), 24);
  const RunInfo run = AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(run.step(), 24);
  EXPECT_EQ(run.last_validation().step(), 24);

  // The same change, and a stop and a resume on the way.
  RunManager* running = nullptr;
  auto other = Open(interrupted.path(), 17, [&] { EXPECT_TRUE(running->Stop("").ok()); });
  running = other.get();
  ASSERT_TRUE(other->Resume(Longer(id)).ok());
  EXPECT_EQ(AwaitState(other.get(), id, vit::v1::RUN_STATE_STOPPED).step(), 17);
  vit::v1::ResumeRunRequest resume;
  resume.set_run(id);
  ASSERT_TRUE(other->Resume(resume).ok());
  AwaitState(other.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(History(other.get(), id), History(manager.get(), id));
  EXPECT_TRUE(Weights(interrupted.path(), id, 24) == Weights(whole.path(), id, 24));
  // From the change on, the loss decides what is best, for earlier checkpoints too.
  const RunInfo status = other->GetStatus(id)->run();
  vit::v1::GetHistoryRequest history;
  history.set_run(id);
  history.set_split(vit::v1::SPLIT_VALIDATION);
  double lowest = std::numeric_limits<double>::infinity();
  int64_t step = 0;
  const auto validation = other->GetHistory(history);
  ASSERT_TRUE(validation.ok()) << validation.status();
  for (const vit::v1::MetricPoint& point : validation->points()) {
    if (point.step() < 13 || point.loss() >= lowest) continue;
    lowest = point.loss();
    step = point.step();
  }
  EXPECT_EQ(status.best_checkpoint().step(), step);
}

TEST(RunTrainingTest, ImpossibleSpecIsRefusedBeforeAnythingIsStored) {
  StateFolder state;
  auto manager = Open(state.path());
  vit::v1::StartTrainingRequest request = Request();
  request.mutable_spec()->mutable_model()->set_num_heads(3);
  EXPECT_EQ(manager->Start(request).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(manager->List({})->runs_size(), 0);
}

}  // namespace
}  // namespace vit
