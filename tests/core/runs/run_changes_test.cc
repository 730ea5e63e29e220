// Runs that are resumed with changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/runs/run_record.h"
#include "proto/spec_text.h"
#include "tests/core/runs/run_manager_fixture.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using RunInfo = vit::v1::Run;

class RunChangesTest : public RunManagerTest {
 protected:
  // A run that did all of its 100 steps.
  std::string StartAndFinish(RunManager* manager) {
    std::string id = StartRun(manager);
    const auto session = trainer_.Await();
    session->StepTo(100);
    session->WriteCheckpoint(100);
    session->Finish(TrainOutcome::kFinished);
    AwaitState(manager, id, vit::v1::RUN_STATE_SUCCEEDED);
    return id;
  }
  static vit::v1::ResumeRunRequest Changes(const std::string& run, const std::string& text) {
    vit::v1::ResumeRunRequest request = ResumeRequest(run);
    const absl::Status parsed = ParseMessageText(text, request.mutable_changes());
    EXPECT_TRUE(parsed.ok()) << parsed;
    return request;
  }
  static std::vector<std::pair<int64_t, int64_t>> StepsAndLengths(RunManager* manager,
                                                                  const std::string& run) {
    std::vector<std::pair<int64_t, int64_t>> specs;
    const auto status = manager->GetStatus(run);
    for (const vit::v1::SpecFromStep& spec : status->specs()) {
      specs.emplace_back(spec.step(), spec.spec().max_steps());
    }
    return specs;
  }
  using Specs = std::vector<std::pair<int64_t, int64_t>>;
};

TEST_F(RunChangesTest, SucceededRunGoesOnWhereItIsMadeLonger) {
  auto manager = Open();
  const std::string id = StartAndFinish(manager.get());
  const absl::Status refused = manager->Resume(ResumeRequest(id)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(),
              AllOf(HasSubstr("has done all of its 100 steps"), HasSubstr("--set epochs=N")));

  const auto resumed = manager->Resume(Changes(id, "max_steps: 150"));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->total_steps(), 150);
  EXPECT_EQ(resumed->total_epochs(), 15);
  const auto session = trainer_.Await();
  EXPECT_EQ(session->options().resolved.total_steps, 150);
  EXPECT_EQ(StatusOf(manager.get(), id).step(), 100);
  session->StepTo(150);
  session->WriteCheckpoint(150);
  session->Finish(TrainOutcome::kFinished);
  EXPECT_EQ(AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED).step(), 150);
}

TEST_F(RunChangesTest, StatusListsTheSpecsThatARunFollowedAlsoAfterARestart) {
  auto manager = Open();
  const std::string id = StartAndFinish(manager.get());
  EXPECT_EQ(StepsAndLengths(manager.get(), id), Specs()) << "it was never changed";
  ASSERT_TRUE(manager->Resume(Changes(id, "max_steps: 150")).ok());
  auto session = trainer_.Await();
  session->StepTo(120);
  ASSERT_TRUE(manager->Stop(id).ok());
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  ASSERT_TRUE(manager->Resume(Changes(id, "max_steps: 300")).ok());
  trainer_.Await();
  ASSERT_TRUE(manager->Stop(id).ok());
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  // No step was done under the last change, so the new one replaces it.
  ASSERT_TRUE(manager->Resume(Changes(id, "max_steps: 200")).ok());
  const Specs expected = {{0, 100}, {100, 150}, {120, 200}};
  EXPECT_EQ(StepsAndLengths(manager.get(), id), expected);
  EXPECT_EQ(manager->GetStatus(id)->spec().max_steps(), 200);
  trainer_.Await();
  manager = nullptr;
  manager = Open();
  EXPECT_EQ(StepsAndLengths(manager.get(), id), expected);
  ASSERT_TRUE(manager->Stop(id).ok());
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_STOPPED);
  ASSERT_TRUE(manager->Delete(id).ok());
}

TEST_F(RunChangesTest, WhatARunKeepsForLifeIsRefusedByName) {
  auto manager = Open();
  const std::string id = StartAndStopAt(manager.get(), 5);
  for (const auto& [change, field] : std::vector<std::pair<std::string, std::string>>{
           {"seed: 8", "seed"},
           {"batch_size: 64", "batch_size"},
           {"model { depth: 3 }", "model.depth"},
           {"data { source: \"shapes:hard\" }", "data.source"},
           {"optimizer { weight_decay: 0.5 learning_rate: 1e-4 }", "optimizer.weight_decay"},
       }) {
    const absl::Status refused = manager->Resume(Changes(id, change)).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << change;
    EXPECT_THAT(refused.message(), AllOf(HasSubstr(absl::StrCat("keeps its ", field, " ")),
                                         HasSubstr("can change epochs"), HasSubstr("init run:")));
  }
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_STOPPED);
  // Fields that keep their value may be given.
  const auto resumed = manager->Resume(
      Changes(id,
              "seed: 7 data { source: \"shapes:\" } optimizer { learning_rate: 1e-4 } "
              "schedule { type: SCHEDULE_TYPE_CONSTANT } evaluation { every_steps: 3 } "
              "checkpoint { keep_last: 9 } log_every_steps: 2 early_stopping { patience: 4 }"));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  const vit::v1::TrainingSpec& spec = trainer_.Await()->options().resolved.spec;
  EXPECT_EQ(spec.optimizer().learning_rate(), 1e-4);
  EXPECT_EQ(spec.schedule().type(), vit::v1::SCHEDULE_TYPE_CONSTANT);
  EXPECT_EQ(spec.checkpoint().keep_last(), 9);
}

TEST_F(RunChangesTest, ChangeThatLeavesNothingToDoIsRefused) {
  auto manager = Open();
  const std::string id = StartAndFinish(manager.get());
  for (const char* change : {"max_steps: 100", "max_steps: 50", "log_every_steps: 5"}) {
    const absl::Status refused = manager->Resume(Changes(id, change)).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << change;
    EXPECT_THAT(refused.message(), HasSubstr("has done 100 steps already"));
  }
  EXPECT_TRUE(manager->Resume(Changes(id, "max_steps: 101")).ok());
}

TEST_F(RunChangesTest, RunThatWasStoppedEarlyNeedsMorePatience) {
  auto manager = Open();
  vit::v1::StartTrainingRequest request = Request();
  request.mutable_spec()->mutable_early_stopping()->set_patience(3);
  const std::string id = manager->Start(request)->run().id();
  const auto session = trainer_.Await();
  session->StepTo(40);
  session->WriteCheckpoint(40);
  session->Finish(TrainOutcome::kStoppedEarly);
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(manager->Resume(ResumeRequest(id)).status().message(),
              AllOf(HasSubstr("stopped early, at step 40 of 100"), HasSubstr("patience=0")));
  const absl::Status refused = manager->Resume(Changes(id, "max_steps: 200")).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("early_stopping.patience above 3"));
  EXPECT_TRUE(manager->Resume(Changes(id, "early_stopping { patience: 5 }")).ok());
}

TEST_F(RunChangesTest, ChangesOfARunningRunAreRefused) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  trainer_.Await();
  EXPECT_EQ(manager->Resume(Changes(id, "max_steps: 200")).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RunChangesTest, RunThatFallsBackBehindAChangeFollowsItFromThere) {
  RunRecord record;
  record.spec.set_max_steps(10);
  ChangeSpecFrom(
      4,
      [] {
        vit::v1::TrainingSpec s;
        s.set_max_steps(20);
        return s;
      }(),
      &record);
  ChangeSpecFrom(
      8,
      [] {
        vit::v1::TrainingSpec s;
        s.set_max_steps(30);
        return s;
      }(),
      &record);
  GoOnFrom(9, &record);
  ASSERT_EQ(record.specs.size(), 3);
  GoOnFrom(3, &record);  // later checkpoints were damaged
  ASSERT_EQ(record.specs.size(), 2);
  EXPECT_EQ(record.specs[0].spec().max_steps(), 10);
  EXPECT_EQ(record.specs[1].step(), 3);
  EXPECT_EQ(record.specs[1].spec().max_steps(), 30);
}

}  // namespace
}  // namespace vit
