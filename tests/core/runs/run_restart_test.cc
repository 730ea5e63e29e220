// How a start of the program handles what an earlier one left behind, clean or killed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/mutex.h"
#include "core/runs/run_manager.h"
#include "core/runs/run_record.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "proto/spec_text.h"
#include "tests/core/runs/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using RunInfo = vit::v1::Run;

class RunRestartTest : public ::testing::Test {
 protected:
  // A process that starts on a state folder; killing it leaves `folder` as it was then.
  struct Process {
    ScriptedTrainer trainer;
    FakeClock clock;
    std::unique_ptr<RunManager> manager;  // last: uses the others
  };

  std::unique_ptr<Process> Start(const fs::path& state_dir, bool resume_interrupted = true) {
    auto process = std::make_unique<Process>();
    RunManager::Options options;
    options.state_dir = state_dir;
    options.clock = &process->clock;
    options.resume_interrupted = resume_interrupted;
    process->trainer.Install(&options);
    absl::StatusOr<std::unique_ptr<RunManager>> manager = RunManager::Create(options);
    EXPECT_TRUE(manager.ok()) << manager.status();
    if (manager.ok()) process->manager = *std::move(manager);
    return process;
  }

  // Kills the process: what comes after happens to the original folder, and `folder_` is now the
  // copy.
  void Kill(std::unique_ptr<Process> process) {
    std::unique_ptr<StateFolder> copy = folder_->Copy();
    process.reset();
    folder_ = std::move(copy);
  }

  static std::string StartRun(Process* process) {
    vit::v1::StartTrainingRequest request;
    request.mutable_spec()->mutable_data()->set_source("shapes:");
    const auto response = process->manager->Start(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->run().id() : "";
  }
  // Leaves a run that was stopped at step 10, with only its files.
  std::string LeaveARunWithoutDatabase() {
    auto process = Start(folder_->path());
    std::string id = StartRun(process.get());
    auto session = process->trainer.Await();
    session->StepTo(10);
    session->WriteCheckpoint(10, /*best=*/true);
    EXPECT_TRUE(process->manager->Stop(id).ok());
    AwaitState(process->manager.get(), id, vit::v1::RUN_STATE_STOPPED);
    process.reset();
    for (const char* name : {"runs.db", "runs.db-wal", "runs.db-shm"}) {
      fs::remove(folder_->path() / name);
    }
    return id;
  }
  static RunInfo StatusOf(Process* process, const std::string& run) {
    const auto status = process->manager->GetStatus(run);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->run() : RunInfo();
  }
  static std::vector<int64_t> HistorySteps(Process* process, const std::string& run) {
    vit::v1::GetHistoryRequest request;
    request.set_run(run);
    std::vector<int64_t> steps;
    const auto history = process->manager->GetHistory(request);
    for (const auto& point : history->points()) steps.push_back(point.step());
    return steps;
  }
  fs::path RunFolder(const std::string& run) const { return folder_->path() / "runs" / run; }
  void Sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_->path() / "runs.db").c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_close(db);
  }

  std::unique_ptr<StateFolder> folder_ = std::make_unique<StateFolder>();
};

TEST_F(RunRestartTest, KilledRunGoesOnFromItsCheckpointAheadOfTheQueue) {
  auto process = Start(folder_->path());
  const std::string a = StartRun(process.get());
  const std::string b = StartRun(process.get());
  auto session = process->trainer.Await();
  session->StepTo(4);
  session->WriteCheckpoint(4);
  session->StepTo(6);
  Kill(std::move(process));

  process = Start(folder_->path());
  session = process->trainer.Await();
  EXPECT_EQ(session->run(), a);
  const RunInfo run = StatusOf(process.get(), a);
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run.step(), 4);
  EXPECT_EQ(run.last_train().step(), 4);
  EXPECT_EQ(StatusOf(process.get(), b).state(), vit::v1::RUN_STATE_QUEUED);
  EXPECT_THAT(HistorySteps(process.get(), a), ElementsAre(1, 2, 3, 4))
      << "history beyond the resumed step is dropped";
  session->StepTo(7);
  EXPECT_THAT(HistorySteps(process.get(), a), ElementsAre(1, 2, 3, 4, 5, 6, 7));
}

TEST_F(RunRestartTest, HistoryUpToACheckpointIsStoredBeforeTheCheckpointAppears) {
  auto process = Start(folder_->path());
  const std::string id = StartRun(process.get());
  auto session = process->trainer.Await();
  // The thread that stores history in passing is held up, as a slow disk would do.
  Mutex mu;
  CondVar changed;
  bool release = false;
  auto subscription = process->manager->Subscribe(id, [&] {
    MutexLock lock(&mu);
    while (!release) changed.Wait(&mu);
  });
  session->StepTo(100);
  // Killed between the checkpoint's renaming and its record in the database.
  session->Do([&](TrainObserver* observer) {
    ASSERT_TRUE(observer->OnBeforeCheckpoint(100).ok());
    const fs::path folder = CheckpointPath(RunFolder(id), 100);
    fs::create_directories(folder);
    ASSERT_TRUE(
        WriteFileAtomically(folder / "info.textproto", MessageToText(Checkpoint(100))).ok());
  });
  auto copy = folder_->Copy();
  {
    MutexLock lock(&mu);
    release = true;
    changed.NotifyAll();
  }
  subscription->reset();
  process.reset();
  folder_ = std::move(copy);

  process = Start(folder_->path(), /*resume_interrupted=*/false);
  EXPECT_EQ(HistorySteps(process.get(), id).size(), 100);
  EXPECT_EQ(StatusOf(process.get(), id).last_checkpoint().step(), 100) << "adopted from its folder";
}

TEST_F(RunRestartTest, InterruptedRunWaitsWhereItIsNotToBeResumed) {
  auto process = Start(folder_->path());
  const std::string id = StartRun(process.get());
  process->trainer.Await();
  Kill(std::move(process));
  process = Start(folder_->path(), /*resume_interrupted=*/false);
  EXPECT_EQ(StatusOf(process.get(), id).state(), vit::v1::RUN_STATE_INTERRUPTED);
  EXPECT_THAT(process->trainer.begun(), IsEmpty());
  // It can be resumed by hand even without a checkpoint, as the daemon itself would resume it.
  vit::v1::ResumeRunRequest request;
  request.set_run(id);
  ASSERT_TRUE(process->manager->Resume(request).ok());
  EXPECT_EQ(process->trainer.Await()->run(), id);
}

TEST_F(RunRestartTest, RunThatWasStoppingWhenKilledIsStopped) {
  auto process = Start(folder_->path());
  process->trainer.set_ignore_stop(true);
  const std::string id = StartRun(process.get());
  auto session = process->trainer.Await();
  session->WriteCheckpoint(3);
  ASSERT_TRUE(process->manager->Stop(id).ok());
  auto copy = folder_->Copy();
  session->Finish(TrainOutcome::kStopped);
  process.reset();
  folder_ = std::move(copy);

  process = Start(folder_->path());
  const RunInfo run = StatusOf(process.get(), id);
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_STOPPED);
  EXPECT_EQ(run.step(), 3);
  EXPECT_TRUE(run.has_end_time());
}

TEST_F(RunRestartTest, QueueKeepsItsOrder) {
  auto process = Start(folder_->path());
  const std::string a = StartRun(process.get());
  process->trainer.Await();
  const std::string b = StartRun(process.get());
  const std::string c = StartRun(process.get());
  // b is put behind c.
  ASSERT_TRUE(process->manager->Stop(b).ok());
  vit::v1::ResumeRunRequest request;
  request.set_run(b);
  ASSERT_TRUE(process->manager->Resume(request).ok());
  Kill(std::move(process));

  process = Start(folder_->path());
  for (int i = 0; i < 3; ++i) process->trainer.Await()->Finish(TrainOutcome::kFinished);
  AwaitState(process->manager.get(), b, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(process->trainer.begun(), ElementsAre(a, c, b));
}

TEST_F(RunRestartTest, RunRestartedThreeTimesWithoutANewerCheckpointFails) {
  auto process = Start(folder_->path());
  const std::string id = StartRun(process.get());
  process->trainer.Await()->WriteCheckpoint(5);
  Kill(std::move(process));
  for (int restart = 1; restart <= 3; ++restart) {
    process = Start(folder_->path());
    EXPECT_EQ(process->trainer.Await()->run(), id) << "restart " << restart;
    Kill(std::move(process));
  }
  process = Start(folder_->path());
  const RunInfo run = StatusOf(process.get(), id);
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_FAILED);
  EXPECT_THAT(run.message(), HasSubstr("restarted 3 times without a checkpoint after step 5"));
  EXPECT_THAT(process->trainer.begun(), IsEmpty());
  // A user who knows better may resume it, with three restarts again.
  vit::v1::ResumeRunRequest request;
  request.set_run(id);
  ASSERT_TRUE(process->manager->Resume(request).ok());
  process->trainer.Await();
  Kill(std::move(process));
  process = Start(folder_->path());
  EXPECT_EQ(process->trainer.Await()->run(), id);
}

TEST_F(RunRestartTest, NewerCheckpointAllowsThreeMoreRestarts) {
  auto process = Start(folder_->path());
  const std::string id = StartRun(process.get());
  process->trainer.Await();
  Kill(std::move(process));
  for (int restart = 1; restart <= 6; ++restart) {
    process = Start(folder_->path());
    auto session = process->trainer.Await();
    if (restart == 3) session->WriteCheckpoint(9);
    Kill(std::move(process));
  }
  process = Start(folder_->path());
  EXPECT_EQ(StatusOf(process.get(), id).state(), vit::v1::RUN_STATE_FAILED);
}

TEST_F(RunRestartTest, CheckpointsFollowTheirFolders) {
  auto process = Start(folder_->path());
  const std::string id = StartRun(process.get());
  auto session = process->trainer.Await();
  session->WriteCheckpoint(10, /*best=*/true);
  session->WriteCheckpoint(20);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(process->manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  process.reset();

  fs::remove_all(CheckpointPath(RunFolder(id), 10));
  fs::create_directories(CheckpointPath(RunFolder(id), 30));
  std::ofstream(CheckpointPath(RunFolder(id), 30) / "info.textproto")
      << MessageToText(Checkpoint(30));
  process = Start(folder_->path());
  const auto status = process->manager->GetStatus(id);
  ASSERT_EQ(status->checkpoints_size(), 2);
  EXPECT_EQ(status->checkpoints(0).step(), 20);
  EXPECT_EQ(status->checkpoints(1).step(), 30);
  EXPECT_FALSE(status->run().has_best_checkpoint());
  EXPECT_EQ(process->manager->Find(ModelRef::Run(id))->step, 30);
}

TEST_F(RunRestartTest, DeletionThatWasCutOffIsFinished) {
  auto process = Start(folder_->path());
  const std::string id = StartRun(process.get());
  auto session = process->trainer.Await();
  session->WriteCheckpoint(10);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(process->manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  const auto lease = process->manager->Find(ModelRef::Run(id));
  ASSERT_TRUE(lease.ok());
  ASSERT_TRUE(process->manager->Delete(id).ok());
  ASSERT_TRUE(fs::exists(RunFolder(id))) << "its checkpoint is being served";
  Kill(std::move(process));

  process = Start(folder_->path());
  EXPECT_FALSE(fs::exists(RunFolder(id)));
  EXPECT_EQ(process->manager->List({})->runs_size(), 0);
}

TEST_F(RunRestartTest, FolderOfACallThatWasNeverAnsweredGoes) {
  const fs::path folder = RunFolder("20260101-000000-bcdf");
  fs::create_directories(folder);
  std::ofstream(folder / "spec.textproto") << "seed: 1\n";
  fs::create_directories(RunFolder("notes"));  // not vitd's
  auto process = Start(folder_->path());
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_TRUE(fs::exists(RunFolder("notes")));
  EXPECT_EQ(process->manager->List({})->runs_size(), 0);
}

TEST_F(RunRestartTest, RunsWithCheckpointsComeBackWithoutTheirDatabase) {
  const std::string id = LeaveARunWithoutDatabase();
  auto process = Start(folder_->path());
  const RunInfo run = StatusOf(process.get(), id);
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_STOPPED);
  EXPECT_EQ(run.data_source(), "shapes:");
  EXPECT_EQ(run.step(), 10);
  EXPECT_EQ(process->manager->Find(ModelRef())->run, id);
  vit::v1::ResumeRunRequest request;
  request.set_run(id);
  ASSERT_TRUE(process->manager->Resume(request).ok());
  process->trainer.Await();
  EXPECT_EQ(StatusOf(process.get(), id).total_steps(), 100);
}

TEST_F(RunRestartTest, ARunFromBeforeListingVersionsComesBackWithTheFirst) {
  const std::string id = LeaveARunWithoutDatabase();
  std::ofstream(RunFolder(id) / "spec.textproto") << "data { source: 'shapes:' } max_steps: 100\n";
  auto process = Start(folder_->path());
  const auto status = process->manager->GetStatus(id);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->spec().data().listing_version(), 1);
}

TEST_F(RunRestartTest, UnknownFolderWhoseCheckpointsCannotBeReadStays) {
  const fs::path run = RunFolder("20260101-000000-aaaa"), other = RunFolder("20260101-000000-bbbb");
  fs::create_directories(run / "checkpoints/step-000000010");
  fs::create_directories(other);
  Start(folder_->path());
  EXPECT_TRUE(fs::exists(run / "checkpoints/step-000000010"));
  EXPECT_FALSE(fs::exists(other));
}

TEST_F(RunRestartTest, NewerDatabaseIsRefused) {
  Start(folder_->path()).reset();
  Sql("PRAGMA user_version = 1000");
  RunManager::Options options;
  ScriptedTrainer trainer;
  trainer.Install(&options);
  options.state_dir = folder_->path();
  const absl::Status refused = RunManager::Create(options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("schema version 1000"));
  EXPECT_THAT(refused.message(), HasSubstr(folder_->path().string()));
}

TEST_F(RunRestartTest, DamagedDatabaseSaysWhatToDo) {
  std::ofstream(folder_->path() / "runs.db") << std::string(8192, 'x');
  RunManager::Options options;
  ScriptedTrainer trainer;
  trainer.Install(&options);
  options.state_dir = folder_->path();
  const absl::Status refused = RunManager::Create(options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
  EXPECT_THAT(refused.message(), HasSubstr("move it away"));
}

// Reports a lost device to the worker.
absl::Status LostDevice(const Device&) { return absl::InternalError("cuda:0: illegal address"); }

TEST_F(RunRestartTest, ALostDeviceInterruptsTheRunAndStartsNoOther) {
  Mutex mu;
  CondVar told;
  std::vector<std::string> lost;
  ScriptedTrainer trainer;
  RunManager::Options options;
  options.state_dir = folder_->path();
  trainer.Install(&options);
  options.probe_device = LostDevice;
  options.on_device_lost = [&](const absl::Status& why) {
    MutexLock lock(&mu);
    lost.emplace_back(why.message());
    told.NotifyAll();
  };
  std::string first, second;
  {
    const auto manager = *RunManager::Create(options);
    vit::v1::StartTrainingRequest request;
    request.mutable_spec()->mutable_data()->set_source("shapes:");
    first = manager->Start(request)->run().id();
    second = manager->Start(request)->run().id();
    const auto session = trainer.Await();
    session->StepTo(7);
    session->WriteCheckpoint(5);
    session->Finish(absl::InternalError("training: CUDA error"));
    {
      MutexLock lock(&mu);
      while (lost.empty()) told.Wait(&mu);
    }
    const RunInfo run = manager->GetStatus(first)->run();
    EXPECT_EQ(run.state(), vit::v1::RUN_STATE_INTERRUPTED);
    EXPECT_THAT(run.message(), HasSubstr("the device no longer computes: cuda:0: illegal address"));
    EXPECT_EQ(manager->GetStatus(second)->run().state(), vit::v1::RUN_STATE_QUEUED);
  }
  EXPECT_THAT(lost, ElementsAre("cuda:0: illegal address"));
  EXPECT_THAT(trainer.begun(), ElementsAre(first));
  // A healthy process continues it, before the run that waited.
  auto process = Start(folder_->path());
  EXPECT_EQ(process->trainer.Await()->run(), first);
}

TEST_F(RunRestartTest, ARunUnderWhichTheDeviceIsLostAgainAndAgainFails) {
  std::string id;
  for (int start = 0; start < 4; ++start) {
    ScriptedTrainer trainer;
    RunManager::Options options;
    options.state_dir = folder_->path();
    trainer.Install(&options);
    options.probe_device = LostDevice;
    const auto manager = *RunManager::Create(options);
    if (start == 0) {
      vit::v1::StartTrainingRequest request;
      request.mutable_spec()->mutable_data()->set_source("shapes:");
      id = manager->Start(request)->run().id();
    }
    trainer.Await()->Finish(absl::InternalError("training: CUDA error"));
    AwaitState(manager.get(), id,
               start < 3 ? vit::v1::RUN_STATE_INTERRUPTED : vit::v1::RUN_STATE_FAILED);
  }
}

}  // namespace
}  // namespace vit
