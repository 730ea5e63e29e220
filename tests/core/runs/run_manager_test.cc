// The life cycle of runs, with a trainer that does what the test says.
#include "core/runs/run_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/runs/run_record.h"
#include "core/train/initial_weights.h"
#include "proto/spec_text.h"
#include "tests/core/runs/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using RunInfo = vit::v1::Run;
using vit::v1::StartTrainingRequest;

class RunManagerTest : public ::testing::Test {
 protected:
  std::unique_ptr<RunManager> Open(const fs::path& state_dir) {
    RunManager::Options options = options_;
    options.state_dir = state_dir;
    options.listener = &listener_;
    options.clock = &clock_;
    trainer_.Install(&options);
    absl::StatusOr<std::unique_ptr<RunManager>> manager = RunManager::Create(options);
    EXPECT_TRUE(manager.ok()) << manager.status();
    return manager.ok() ? *std::move(manager) : nullptr;
  }
  std::unique_ptr<RunManager> Open() { return Open(state_.path()); }

  static StartTrainingRequest Request(const std::string& name = "") {
    StartTrainingRequest request;
    request.set_name(name);
    request.set_preset("shapes_demo");
    request.mutable_spec()->mutable_data()->set_source("shapes:");
    return request;
  }
  static std::string StartRun(RunManager* manager, const std::string& name = "") {
    const auto response = manager->Start(Request(name));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->run().id() : "";
  }
  static vit::v1::ResumeRunRequest ResumeRequest(const std::string& run) {
    vit::v1::ResumeRunRequest request;
    request.set_run(run);
    return request;
  }
  static RunInfo StatusOf(RunManager* manager, const std::string& run) {
    const auto status = manager->GetStatus(run);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->run() : RunInfo();
  }
  fs::path RunFolder(const std::string& run) const { return state_.path() / "runs" / run; }

  StateFolder state_;
  FakeClock clock_;
  ScriptedTrainer trainer_;
  RecordingListener listener_;
  RunManager::Options options_;
};

TEST_F(RunManagerTest, RunGoesFromQueuedToSucceeded) {
  auto manager = Open();
  const auto started = manager->Start(Request("first"));
  ASSERT_TRUE(started.ok()) << started.status();
  const std::string id = started->run().id();
  EXPECT_TRUE(IsRunId(id)) << id;
  EXPECT_EQ(started->run().state(), vit::v1::RUN_STATE_QUEUED);
  EXPECT_EQ(started->effective_spec().seed(), 7);
  EXPECT_EQ(started->parameter_count(), 1234);
  EXPECT_EQ(started->estimated_memory_bytes(), 5678);
  EXPECT_EQ(started->train_size(), 40);
  EXPECT_EQ(started->validation_size(), 8);
  EXPECT_EQ(started->total_steps(), 100);

  const auto session = trainer_.Await();
  EXPECT_EQ(session->run(), id);
  EXPECT_EQ(session->options().directory, RunFolder(id));
  session->StepTo(20);
  session->Do([](TrainObserver* observer) {
    observer->OnMetrics(Point(20, vit::v1::SPLIT_VALIDATION, 0.25));
    observer->OnBadImage("bad.jpg", absl::InvalidArgumentError("truncated"), 2);
  });
  session->WriteCheckpoint(20, /*best=*/true);
  RunInfo run = StatusOf(manager.get(), id);
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run.name(), "first");
  EXPECT_EQ(run.preset(), "shapes_demo");
  EXPECT_EQ(run.data_source(), "shapes:");
  EXPECT_EQ(run.step(), 20);
  EXPECT_EQ(run.epoch(), 2);
  EXPECT_EQ(run.total_epochs(), 10);
  EXPECT_EQ(run.class_count(), 3);
  EXPECT_EQ(run.phase(), "training");
  EXPECT_EQ(run.bad_images(), 2);
  EXPECT_EQ(run.last_train().step(), 20);
  EXPECT_EQ(run.last_validation().loss(), 0.25);
  EXPECT_EQ(run.best_checkpoint().step(), 20);
  EXPECT_EQ(run.last_checkpoint().step(), 20);

  session->Finish(TrainOutcome::kFinished);
  run = AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_TRUE(run.has_end_time());
  EXPECT_EQ(run.phase(), "");
  EXPECT_THAT(manager->Stop(id).status().message(), HasSubstr("it is succeeded"));
  EXPECT_EQ(manager->Resume(ResumeRequest(id)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RunManagerTest, EffectiveSpecIsStoredBesideTheCheckpoints) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  vit::v1::TrainingSpec spec;
  const auto text = ReadFile(RunFolder(id) / "spec.textproto", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  ASSERT_TRUE(ParseMessageText(*text, &spec).ok());
  EXPECT_EQ(spec.seed(), 7);
  EXPECT_EQ(spec.data().source(), "shapes:");
}

TEST_F(RunManagerTest, ValidateOnlyStartsAndWritesNothing) {
  auto manager = Open();
  StartTrainingRequest request = Request();
  request.set_validate_only(true);
  const auto response = manager->Start(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_FALSE(response->has_run());
  EXPECT_EQ(response->total_steps(), 100);
  EXPECT_EQ(manager->List({})->runs_size(), 0);
  EXPECT_TRUE(fs::is_empty(state_.path() / "runs"));
}

TEST_F(RunManagerTest, BadRequestsStartNothing) {
  auto manager = Open();
  StartTrainingRequest request = Request();
  request.set_preset("unknown");
  EXPECT_EQ(manager->Start(request).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(manager->Start(Request(std::string(101, 'x'))).status().message(),
              HasSubstr("101 bytes"));
  EXPECT_EQ(manager->Start(Request("a\tb")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(manager->Start(Request("latest")).status().code(), absl::StatusCode::kInvalidArgument);
  request = Request();
  request.mutable_spec()->set_init("run:nobody");
  const absl::Status status = manager->Start(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("init 'run:nobody'"), HasSubstr("no run")));
  EXPECT_EQ(manager->List({})->runs_size(), 0);
}

TEST_F(RunManagerTest, RunsStartInTheOrderOfTheQueue) {
  auto manager = Open();
  const std::string a = StartRun(manager.get(), "a");
  const auto session_a = trainer_.Await();
  const std::string b = StartRun(manager.get(), "b");
  const std::string c = StartRun(manager.get(), "c");
  EXPECT_EQ(StatusOf(manager.get(), b).queue_position(), 1);
  EXPECT_EQ(StatusOf(manager.get(), c).queue_position(), 2);
  session_a->Finish(TrainOutcome::kFinished);
  const auto session_b = trainer_.Await();
  EXPECT_EQ(StatusOf(manager.get(), c).queue_position(), 1);
  EXPECT_EQ(StatusOf(manager.get(), b).queue_position(), 0);
  session_b->Finish(TrainOutcome::kFinished);
  trainer_.Await()->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), c, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(trainer_.begun(), ElementsAre(a, b, c));
}

TEST_F(RunManagerTest, FullQueueNamesTheLimit) {
  options_.max_queued_runs = 1;
  auto manager = Open();
  StartRun(manager.get());
  const auto session = trainer_.Await();
  StartRun(manager.get());
  const absl::Status full = manager->Start(Request()).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(full.message(), AllOf(HasSubstr("1 runs wait"), HasSubstr("--max-queued-runs is 1")));
  EXPECT_EQ(manager->List({})->runs_size(), 2);
  session->Finish(TrainOutcome::kFinished);
  trainer_.Await();
  EXPECT_TRUE(manager->Start(Request()).ok());
}

TEST_F(RunManagerTest, RepeatedRequestIdReturnsTheFirstRunAlsoAfterARestart) {
  StartTrainingRequest request = Request("once");
  request.set_request_id("11111111-2222");
  std::string id;
  {
    auto manager = Open();
    const auto first = manager->Start(request);
    const auto second = manager->Start(request);
    ASSERT_TRUE(first.ok() && second.ok());
    id = first->run().id();
    EXPECT_EQ(second->run().id(), id);
    EXPECT_EQ(second->effective_spec().seed(), 7);
    EXPECT_EQ(second->train_size(), 40);
  }
  auto manager = Open();
  const auto third = manager->Start(request);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third->run().id(), id);
  EXPECT_EQ(third->estimated_memory_bytes(), 5678);
  EXPECT_EQ(manager->List({})->runs_size(), 1);
}

TEST_F(RunManagerTest, ConcurrentCallsWithOneRequestIdStartOneRun) {
  auto manager = Open();
  StartTrainingRequest request = Request();
  request.set_request_id("same");
  std::vector<std::string> ids(8);
  std::vector<std::thread> callers;
  for (std::string& id : ids) {
    callers.emplace_back([&] { id = manager->Start(request)->run().id(); });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(ids, ::testing::Each(ids[0]));
  EXPECT_EQ(manager->List({})->runs_size(), 1);
}

TEST_F(RunManagerTest, StopOfAQueuedRunIsImmediate) {
  auto manager = Open();
  StartRun(manager.get());
  const auto session = trainer_.Await();
  const std::string queued = StartRun(manager.get());
  const auto stopped = manager->Stop(queued);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->state(), vit::v1::RUN_STATE_STOPPED);
  EXPECT_EQ(stopped->queue_position(), 0);
  // It never began, so that it can be resumed without a checkpoint.
  const auto resumed = manager->Resume(ResumeRequest(queued));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->state(), vit::v1::RUN_STATE_QUEUED);
  session->Finish(TrainOutcome::kFinished);
  EXPECT_EQ(trainer_.Await()->run(), queued);
}

TEST_F(RunManagerTest, StoppedRunGoesOnFromItsCheckpointWhenResumed) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  trainer_.Await()->StepTo(7);
  const auto stopping = manager->Stop(id);
  ASSERT_TRUE(stopping.ok()) << stopping.status();
  EXPECT_EQ(stopping->state(), vit::v1::RUN_STATE_STOPPING);
  RunInfo run = AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  EXPECT_EQ(run.last_checkpoint().step(), 7);

  ASSERT_TRUE(manager->Resume(ResumeRequest(id)).ok());
  const auto session = trainer_.Await();
  run = StatusOf(manager.get(), id);
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_RUNNING);
  EXPECT_EQ(run.step(), 7);
  EXPECT_FALSE(run.has_end_time());
  EXPECT_EQ(manager->Resume(ResumeRequest(id)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
}

TEST_F(RunManagerTest, ResumeKeepsTheLoaderThreadsThatItNames) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  trainer_.Await()->StepTo(1);
  ASSERT_TRUE(manager->Stop(id).ok());
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  vit::v1::ResumeRunRequest request = ResumeRequest(id);
  request.set_loader_threads(-1);
  EXPECT_EQ(manager->Resume(request).status().code(), absl::StatusCode::kInvalidArgument);
  request.set_loader_threads(3);
  ASSERT_TRUE(manager->Resume(request).ok());
  EXPECT_EQ(trainer_.Await()->options().resolved.spec.data().loader_threads(), 3);
  EXPECT_EQ(manager->GetStatus(id)->spec().data().loader_threads(), 3);
}

TEST_F(RunManagerTest, ManagersLoaderThreadsOverrideTheSpec) {
  options_.loader_threads = 5;
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  EXPECT_EQ(trainer_.Await()->options().resolved.spec.data().loader_threads(), 5);
  EXPECT_FALSE(manager->GetStatus(id)->spec().data().has_loader_threads());
}

TEST_F(RunManagerTest, FailedRunSaysWhyAndNeedsACheckpointToGoOn) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  auto session = trainer_.Await();
  session->StepTo(5);
  session->Finish(absl::InternalError("the loss is not finite at step 5"));
  const RunInfo run = AwaitState(manager.get(), id, vit::v1::RUN_STATE_FAILED);
  EXPECT_EQ(run.message(), "the loss is not finite at step 5");
  const absl::Status refused = manager->Resume(ResumeRequest(id)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("no checkpoint"));

  const std::string other = StartRun(manager.get());
  session = trainer_.Await();
  session->WriteCheckpoint(5);
  session->Finish(absl::InternalError("again"));
  AwaitState(manager.get(), other, vit::v1::RUN_STATE_FAILED);
  ASSERT_TRUE(manager->Resume(ResumeRequest(other)).ok());
  trainer_.Await();
  EXPECT_EQ(StatusOf(manager.get(), other).message(), "");
}

TEST_F(RunManagerTest, ResumeIsRefusedWhereTheDataChanged) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  trainer_.Await()->StepTo(5);
  ASSERT_TRUE(manager->Stop(id).ok());
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  trainer_.set_fingerprint("ffffffffffffffff");
  const absl::Status refused = manager->Resume(ResumeRequest(id)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("has changed"));
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_STOPPED);
}

TEST_F(RunManagerTest, RunWhoseDataIsGoneWhenItsTurnComesFails) {
  auto manager = Open();
  StartRun(manager.get());
  const auto session = trainer_.Await();
  StartTrainingRequest request = Request();
  request.mutable_spec()->mutable_data()->set_source("folder:/missing");
  EXPECT_EQ(manager->Start(request).status().code(), absl::StatusCode::kNotFound);
  session->Finish(TrainOutcome::kFinished);
}

TEST_F(RunManagerTest, DeleteRemovesTheRunWithItsFilesAndHistory) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  session->StepTo(3);
  EXPECT_EQ(manager->Delete(id).code(), absl::StatusCode::kFailedPrecondition);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  ASSERT_TRUE(fs::exists(RunFolder(id)));
  ASSERT_TRUE(manager->Delete(id).ok());
  EXPECT_FALSE(fs::exists(RunFolder(id)));
  EXPECT_EQ(manager->GetStatus(id).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager->Delete(id).code(), absl::StatusCode::kNotFound);
  listener_.Await(absl::StrCat("deleted ", id));
  manager.reset();
  EXPECT_EQ(Open()->List({})->runs_size(), 0);
}

TEST_F(RunManagerTest, LeasedCheckpointStaysOnDiskUntilItIsReleased) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  EXPECT_EQ(manager->FindServable("").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(manager->FindServable(id).status().code(), absl::StatusCode::kUnavailable);
  session->WriteCheckpoint(10, /*best=*/true);
  absl::StatusOr<CheckpointLease> lease = manager->FindServable("latest");
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(lease->run, id);
  EXPECT_EQ(lease->step, 10);
  EXPECT_TRUE(fs::exists(lease->directory / "info.textproto"));

  session->WriteCheckpoint(20);  // the best stays the one that is served
  EXPECT_EQ(manager->FindServable(id)->step, 10);
  session->WriteCheckpoint(30, /*best=*/true);
  EXPECT_EQ(manager->FindServable(id)->step, 30);
  const auto& is_served = session->options().is_served;
  EXPECT_TRUE(is_served(10)) << "leased";
  EXPECT_FALSE(is_served(20));
  EXPECT_TRUE(is_served(30)) << "would be given out next";

  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  const fs::path directory = lease->directory;
  ASSERT_TRUE(manager->Delete(id).ok());
  EXPECT_EQ(manager->FindServable(id).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(fs::exists(directory));
  lease->lease.reset();
  EXPECT_FALSE(fs::exists(RunFolder(id)));
}

TEST_F(RunManagerTest, LatestServesTheMostRecentlyStartedRunThatHasACheckpoint) {
  auto manager = Open();
  const std::string a = StartRun(manager.get());
  auto session = trainer_.Await();
  session->WriteCheckpoint(10);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), a, vit::v1::RUN_STATE_SUCCEEDED);
  clock_.Advance(absl::Seconds(1));
  const std::string b = StartRun(manager.get());
  session = trainer_.Await();
  EXPECT_EQ(manager->FindServable("")->run, a);
  session->WriteCheckpoint(1);
  EXPECT_EQ(manager->FindServable("")->run, b);
}

TEST_F(RunManagerTest, RunsAreFoundByIdPrefixAndName) {
  auto manager = Open();
  EXPECT_EQ(manager->GetStatus("").status().code(), absl::StatusCode::kNotFound);
  const std::string a = StartRun(manager.get(), "pets");
  const auto session = trainer_.Await();
  clock_.Advance(absl::Hours(24));
  const std::string b = StartRun(manager.get(), "cars");
  EXPECT_EQ(StatusOf(manager.get(), a).id(), a);
  EXPECT_EQ(StatusOf(manager.get(), b.substr(0, 9)).id(), b);
  EXPECT_EQ(StatusOf(manager.get(), "pets").id(), a);
  EXPECT_EQ(StatusOf(manager.get(), "").id(), a) << "the most recently started";
  EXPECT_EQ(StatusOf(manager.get(), "latest").id(), a);

  const absl::Status ambiguous = manager->GetStatus("20").status();
  EXPECT_EQ(ambiguous.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(ambiguous.message(), AllOf(HasSubstr(a), HasSubstr(b)));
  const absl::Status unknown = manager->GetStatus("boats").status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(unknown.message(), AllOf(HasSubstr("'boats'"), HasSubstr("(pets)")));

  const std::string c = StartRun(manager.get(), "pets");
  const absl::Status shared = manager->GetStatus("pets").status();
  EXPECT_EQ(shared.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(shared.message(), AllOf(HasSubstr(a), HasSubstr(c), HasSubstr("2 runs")));
}

TEST_F(RunManagerTest, ListPagesFromTheNewestAndFiltersByState) {
  auto manager = Open();
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(1));
    ids.push_back(StartRun(manager.get()));
    if (i == 0) trainer_.Await();
  }
  vit::v1::ListRunsRequest request;
  request.set_page_size(2);
  std::vector<std::string> listed;
  do {
    const auto page = manager->List(request);
    ASSERT_TRUE(page.ok());
    EXPECT_LE(page->runs_size(), 2);
    for (const RunInfo& run : page->runs()) listed.push_back(run.id());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(listed, ElementsAre(ids[4], ids[3], ids[2], ids[1], ids[0]));

  request.Clear();
  request.add_states(vit::v1::RUN_STATE_RUNNING);
  const auto running = manager->List(request);
  ASSERT_EQ(running->runs_size(), 1);
  EXPECT_EQ(running->runs(0).id(), ids[0]);
  request.set_page_token("nonsense");
  EXPECT_EQ(manager->List(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RunManagerTest, HistoryComesInOrderAndThinned) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  session->StepTo(10);
  session->Do([](TrainObserver* observer) {
    observer->OnMetrics(Point(10, vit::v1::SPLIT_VALIDATION, 0.5));
  });
  session->StepTo(20);
  vit::v1::GetHistoryRequest request;
  request.set_run(id);
  auto history = manager->GetHistory(request);
  ASSERT_TRUE(history.ok()) << history.status();
  ASSERT_EQ(history->points_size(), 21);
  EXPECT_EQ(history->run().id(), id);
  EXPECT_EQ(history->points(9).split(), vit::v1::SPLIT_TRAIN);
  EXPECT_EQ(history->points(10).split(), vit::v1::SPLIT_VALIDATION);
  EXPECT_EQ(history->points(10).SerializeAsString(),
            Point(10, vit::v1::SPLIT_VALIDATION, 0.5).SerializeAsString());
  request.set_after_step(18);
  EXPECT_EQ(manager->GetHistory(request)->points_size(), 2);
  request.set_after_step(0);
  request.set_split(vit::v1::SPLIT_TRAIN);
  request.set_max_points(3);
  history = manager->GetHistory(request);
  ASSERT_EQ(history->points_size(), 3);
  EXPECT_EQ(history->points(0).step(), 1);
  EXPECT_EQ(history->points(1).step(), 10);
  EXPECT_EQ(history->points(2).step(), 20);
  request.set_max_points(-1);
  EXPECT_EQ(manager->GetHistory(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RunManagerTest, ListenerHearsEverythingInOrder) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  session->StepTo(2);
  session->Do([](TrainObserver* observer) {
    observer->OnBadImage("a.jpg", absl::InvalidArgumentError("truncated"), 1);
    observer->OnCheckpointFailed(2, absl::ResourceExhaustedError("disk full"));
  });
  EXPECT_THAT(StatusOf(manager.get(), id).message(), HasSubstr("disk full"));
  session->WriteCheckpoint(2);
  EXPECT_EQ(StatusOf(manager.get(), id).message(), "");
  session->Finish(TrainOutcome::kFinished);
  const std::string done = absl::StrCat("state ", id, " succeeded");
  listener_.Await(done);
  const auto line = [&](const std::string& what, const std::string& rest) {
    return absl::StrCat(what, " ", id, " ", rest);
  };
  EXPECT_THAT(listener_.lines(),
              ElementsAre(line("state", "queued"), line("state", "running"), line("metrics", "1"),
                          line("step", "1"), line("metrics", "2"), line("step", "2"),
                          line("bad image", "a.jpg"), line("checkpoint failed", "2"),
                          line("checkpoint", "2"), done));
}

TEST_F(RunManagerTest, SubscriptionTellsOfChangesUntilItIsDropped) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  // AwaitRun waits for nothing but the calls of its own subscription.
  std::thread driver([&] {
    session->StepTo(3);
    session->Finish(TrainOutcome::kFinished);
  });
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  driver.join();

  std::atomic<int> calls = 0;
  auto subscription = manager->Subscribe(id, [&] { ++calls; });
  ASSERT_TRUE(subscription.ok());
  subscription->reset();
  ASSERT_TRUE(manager->Delete(id).ok());
  listener_.Await(absl::StrCat("deleted ", id));
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(manager->Subscribe(id, [] {}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RunManagerTest, FollowerFindsThePointItWasToldOf) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  for (int64_t step = 1; step <= 50; ++step) {
    std::thread driver([&] { session->StepTo(step); });
    AwaitRun(manager.get(), id,
             [&](const RunInfo& run) { return run.last_train().step() == step; });
    vit::v1::GetHistoryRequest request;
    request.set_run(id);
    request.set_after_step(step - 1);
    EXPECT_EQ(manager->GetHistory(request)->points_size(), 1);
    driver.join();
  }
}

TEST_F(RunManagerTest, ShutdownLeavesTheRunInterruptedAndTheQueueAsItIs) {
  auto manager = Open();
  const std::string a = StartRun(manager.get());
  const std::string b = StartRun(manager.get());
  trainer_.Await()->StepTo(4);
  manager->Shutdown(absl::InfiniteFuture());
  EXPECT_EQ(StatusOf(manager.get(), a).state(), vit::v1::RUN_STATE_INTERRUPTED);
  EXPECT_EQ(StatusOf(manager.get(), a).last_checkpoint().step(), 4);
  EXPECT_EQ(StatusOf(manager.get(), b).state(), vit::v1::RUN_STATE_QUEUED);
  EXPECT_EQ(manager->Start(Request()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(manager->Stop(b).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(manager->Resume(ResumeRequest(a)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(manager->Delete(a).code(), absl::StatusCode::kUnavailable);
  manager.reset();

  manager = Open();
  auto session = trainer_.Await();
  EXPECT_EQ(session->run(), a) << "goes ahead of the queued one";
  session->Finish(TrainOutcome::kFinished);
  EXPECT_EQ(trainer_.Await()->run(), b);
}

TEST_F(RunManagerTest, ShutdownGivesUpWaitingAtItsDeadline) {
  trainer_.set_ignore_stop(true);
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  std::thread shutdown([&] { manager->Shutdown(clock_.Now() + absl::Seconds(30)); });
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(31));
  shutdown.join();
  EXPECT_TRUE(session->stop_requested());
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_INTERRUPTED);
  session->Finish(TrainOutcome::kFinished);
  manager.reset();
  EXPECT_EQ(StatusOf(Open().get(), id).state(), vit::v1::RUN_STATE_SUCCEEDED)
      << "what really happened is recorded after all";
}

TEST_F(RunManagerTest, RunThatWasAskedToStopBeforeAShutdownStaysStopped) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  trainer_.Await()->StepTo(1);
  ASSERT_TRUE(manager->Stop(id).ok());
  manager->Shutdown(absl::InfiniteFuture());
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_STOPPED);
}

TEST_F(RunManagerTest, InitFromARunIsPinnedToItsCheckpointAndKeptWhereTheOtherRunIsDeleted) {
  auto manager = Open();
  const std::string a = StartRun(manager.get(), "teacher");
  auto session = trainer_.Await();
  session->WriteCheckpoint(10, /*best=*/true);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), a, vit::v1::RUN_STATE_SUCCEEDED);
  const std::string before = StartRun(manager.get());
  session = trainer_.Await();
  StartTrainingRequest request = Request();
  request.mutable_spec()->set_init("run:teacher");
  const auto waiting = manager->Start(request);
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  EXPECT_EQ(waiting->effective_spec().init(), absl::StrCat("run:", a, "@10"));

  ASSERT_TRUE(manager->Delete(a).ok());
  EXPECT_EQ(ReadFile(KeptInitialWeights(RunFolder(waiting->run().id())), 100).value_or(""),
            "weights of step 10");
  // Stopped before it began, it can still be resumed.
  const std::string id = waiting->run().id();
  ASSERT_TRUE(manager->Stop(id).ok());
  EXPECT_TRUE(manager->Resume(ResumeRequest(id)).ok());
  session->Finish(TrainOutcome::kFinished);
  EXPECT_EQ(trainer_.Await()->run(), id);
}

// What a full disk or a read-only one does to the database, made by a trigger.
void RefuseInserts(const fs::path& state_dir) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((state_dir / "runs.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db,
                         "CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN "
                         "SELECT RAISE(ABORT, 'refused'); END",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
}

TEST_F(RunManagerTest, RunThatCannotBeStoredLeavesNothingBehind) {
  auto manager = Open();
  RefuseInserts(state_.path());
  const absl::Status refused = manager->Start(Request()).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("store the run"), HasSubstr("refused")));
  EXPECT_EQ(manager->List({})->runs_size(), 0);
  EXPECT_TRUE(fs::is_empty(state_.path() / "runs"));
}

TEST_F(RunManagerTest, UnwritableRunFolderIsACleanError) {
  auto manager = Open();
  fs::remove_all(state_.path() / "runs");
  std::ofstream(state_.path() / "runs") << "a file where the folder should be";
  const absl::Status refused = manager->Start(Request()).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(refused.message(), HasSubstr("runs"));
  EXPECT_EQ(manager->List({})->runs_size(), 0);
}

TEST_F(RunManagerTest, StateDirectoryThatCannotBeUsedIsNamed) {
  RunManager::Options options;
  trainer_.Install(&options);
  options.state_dir = state_.path() / "file";
  std::ofstream(options.state_dir) << "not a folder";
  absl::Status status = RunManager::Create(options).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(options.state_dir.string()));

  options.state_dir = state_.path() / "blocked";
  fs::create_directories(options.state_dir / "runs.db");  // a folder in the database's place
  status = RunManager::Create(options).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("runs.db"));
}

TEST_F(RunManagerTest, CheckpointWithoutItsHistoryIsRefused) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((state_.path() / "runs.db").c_str(), &db), SQLITE_OK);
  const auto execute = [&](const char* sql) {
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  };
  execute("CREATE TRIGGER refuse BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'full'); END");
  session->StepTo(2);
  session->WriteCheckpoint(2);
  listener_.Await(absl::StrCat("checkpoint failed ", id, " 2"));
  EXPECT_FALSE(fs::exists(CheckpointPath(RunFolder(id), 2)));
  // Once there is room again, nothing of the history is missing.
  execute("DROP TRIGGER refuse");
  sqlite3_close(db);
  session->StepTo(4);
  session->WriteCheckpoint(4);
  vit::v1::GetHistoryRequest request;
  request.set_run(id);
  EXPECT_EQ(manager->GetHistory(request)->points_size(), 4);
}

}  // namespace
}  // namespace vit
