// The life cycle of runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/runs/run_record.h"
#include "core/train/initial_weights.h"
#include "proto/spec_text.h"
#include "tests/core/runs/run_manager_fixture.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using RunInfo = vit::v1::Run;
using vit::v1::StartTrainingRequest;

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
    observer->OnBadImage(
        {"bad.jpg", absl::InvalidArgumentError("truncated"), DataSplit::kTrain, 2, 1});
    observer->OnBadImage(
        {"worse.jpg", absl::InvalidArgumentError("empty"), DataSplit::kValidation, 1, 1});
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
  EXPECT_EQ(run.bad_validation_images(), 1);
  EXPECT_THAT(run.first_bad_images(), ElementsAre("bad.jpg (truncated)", "worse.jpg (empty)"));
  EXPECT_EQ(run.last_train().step(), 20);
  EXPECT_EQ(run.last_validation().loss(), 0.25);
  EXPECT_EQ(run.best_checkpoint().step(), 20);
  EXPECT_EQ(run.last_checkpoint().step(), 20);

  session->Finish(TrainOutcome::kFinished);
  run = AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_TRUE(run.has_end_time());
  EXPECT_EQ(run.phase(), "");
  EXPECT_THAT(manager->Stop(id).status().message(), HasSubstr("has ended (succeeded)"));
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
  EXPECT_THAT(status.message(), AllOf(HasSubstr("init run:nobody"), HasSubstr("no run")));
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

TEST_F(RunManagerTest, CallerWhoHasGivenUpStartsAndResumesNothing) {
  auto manager = Open();
  const auto gave_up = [] { return true; };
  EXPECT_EQ(manager->Start(Request(), gave_up).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(manager->List({})->runs_size(), 0);
  const std::string id = StartAndStopAt(manager.get(), 1);
  vit::v1::ResumeRunRequest request = ResumeRequest(id);
  request.set_loader_threads(3);
  EXPECT_EQ(manager->Resume(request, gave_up).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_STOPPED);
  EXPECT_FALSE(manager->GetStatus(id)->spec().data().has_loader_threads());
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
  // It never began, so it can be resumed without a checkpoint.
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
  const std::string id = StartAndStopAt(manager.get(), 1);
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
  const std::string id = StartAndStopAt(manager.get(), 5);
  trainer_.set_fingerprint("ffffffffffffffff");
  const absl::Status refused = manager->Resume(ResumeRequest(id)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("has changed"));
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_STOPPED);
}

TEST_F(RunManagerTest, ResumeIsRefusedWhereTheSpecNoLongerFitsTheData) {
  auto manager = Open();
  const std::string id = StartAndStopAt(manager.get(), 5);
  trainer_.set_resolve_error(absl::InvalidArgumentError("the data has 4 classes"));
  const absl::Status refused = manager->Resume(ResumeRequest(id)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr("cannot continue as it began: the data has 4 classes"));
  auto request = ResumeRequest(id);
  request.set_loader_threads(1 << 20);
  EXPECT_EQ(manager->Resume(request).status().code(), absl::StatusCode::kInvalidArgument);
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

TEST_F(RunManagerTest, DataThatChangesWhileARunWaitsIsWhatTheRunIsResumedWith) {
  auto manager = Open();
  StartRun(manager.get());
  const auto first = trainer_.Await();
  const std::string id = StartRun(manager.get());
  trainer_.set_fingerprint("fedcba9876543210");
  first->Finish(TrainOutcome::kFinished);
  const auto session = trainer_.Await();
  session->StepTo(5);
  ASSERT_TRUE(manager->Stop(id).ok());
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  const auto resumed = manager->Resume(ResumeRequest(id));
  EXPECT_TRUE(resumed.ok()) << resumed.status();
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
  StartRun(manager.get());
  session = trainer_.Await();
  StartTrainingRequest request = Request();
  request.mutable_spec()->set_init("run:teacher");
  const auto waiting = manager->Start(request);
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  EXPECT_EQ(waiting->effective_spec().init(), absl::StrCat("run:", a, "@10"));

  // The effective spec can be started again as it is.
  *request.mutable_spec() = waiting->effective_spec();
  const auto again = manager->Start(request);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->effective_spec().init(), absl::StrCat("run:", a, "@10"));
  ASSERT_TRUE(manager->Stop(again->run().id()).ok());

  ASSERT_TRUE(manager->Delete(a).ok());
  EXPECT_EQ(ReadFile(RunFolder(waiting->run().id()) / "init.safetensors", 100).value_or(""),
            "weights of step 10");
  // Stopped before it began, it can still be resumed.
  const std::string id = waiting->run().id();
  ASSERT_TRUE(manager->Stop(id).ok());
  EXPECT_TRUE(manager->Resume(ResumeRequest(id)).ok());
  session->Finish(TrainOutcome::kFinished);
  EXPECT_EQ(trainer_.Await()->run(), id);
}

TEST_F(RunManagerTest, ARunGoesOnOnceByItselfWhenTheDevicesMemoryRanOut) {
  const auto manager = Open();
  const std::string id = StartRun(manager.get());
  auto session = trainer_.Await();
  session->StepTo(12);
  session->Finish(OutOfDeviceMemoryError("Tried to allocate 2 GiB"));
  session = trainer_.Await();
  EXPECT_EQ(session->run(), id);
  EXPECT_THAT(session->options().note, HasSubstr("the device's memory ran out at step 12"));
  session->Finish(OutOfDeviceMemoryError("Tried to allocate 2 GiB"));
  const vit::v1::Run run = AwaitState(manager.get(), id, vit::v1::RUN_STATE_FAILED);
  EXPECT_THAT(run.message(), HasSubstr("Tried to allocate 2 GiB"));
}

TEST_F(RunManagerTest, ARunThatTheHostsMemoryEndedDoesNotGoOnByItself) {
  const auto manager = Open();
  const std::string id = StartRun(manager.get());
  trainer_.Await()->Finish(absl::ResourceExhaustedError("out of memory"));
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_FAILED);
  EXPECT_EQ(trainer_.begun().size(), 1u);
}

}  // namespace
}  // namespace vit
