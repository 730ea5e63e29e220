// Queries about runs: which to serve, which exist, their history, their changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/core/runs/run_manager_fixture.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using RunInfo = vit::v1::Run;

TEST_F(RunManagerTest, LeasedCheckpointStaysOnDiskUntilItIsReleased) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  EXPECT_EQ(manager->Find(ModelRef()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(manager->Find(ModelRef::Run(id)).status().code(), absl::StatusCode::kUnavailable);
  session->WriteCheckpoint(10, /*best=*/true);
  absl::StatusOr<ServableModel> lease = manager->Find(ModelRef());
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ(lease->run, id);
  EXPECT_EQ(lease->step, 10);
  EXPECT_TRUE(fs::exists(lease->directory / "info.textproto"));

  session->WriteCheckpoint(20);  // the best stays the one that is served
  EXPECT_EQ(manager->Find(ModelRef::Run(id))->step, 10);
  session->WriteCheckpoint(30, /*best=*/true);
  EXPECT_EQ(manager->Find(ModelRef::Run(id))->step, 30);
  const auto& is_served = session->options().is_served;
  EXPECT_TRUE(is_served(10)) << "leased";
  EXPECT_FALSE(is_served(20));
  EXPECT_TRUE(is_served(30)) << "would be given out next";

  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  const fs::path directory = lease->directory;
  ASSERT_TRUE(manager->Delete(id).ok());
  EXPECT_EQ(manager->Find(ModelRef::Run(id)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(fs::exists(directory));
  lease->lease.reset();
  EXPECT_FALSE(fs::exists(RunFolder(id)));
}

TEST_F(RunManagerTest, ACheckpointIsServedByItsStepToo) {
  auto manager = Open();
  const std::string id = StartRun(manager.get(), "cats@7");
  const auto session = trainer_.Await();
  session->WriteCheckpoint(0);
  session->WriteCheckpoint(7, /*best=*/true);
  session->WriteCheckpoint(9);
  const auto find = [&](const std::string& text) { return manager->Find(*ModelRef::Parse(text)); };
  EXPECT_EQ(find("run:" + id)->step, 7);
  EXPECT_EQ(find("run:" + id)->name, "run:" + id);
  EXPECT_EQ(find("run:" + id + "@9")->step, 9);
  EXPECT_EQ(find("run:" + id + "@9")->name, "run:" + id + "@9");
  EXPECT_EQ(find("run:" + id + "@0")->ref.ToString(), "run:" + id + "@0");
  EXPECT_EQ(find("run:" + id + "@8").status().code(), absl::StatusCode::kNotFound);
  // A name that ends like a step means the run.
  EXPECT_EQ(find("run:cats@7")->name, "run:" + id);
  EXPECT_EQ(find("run:cats@7@9")->step, 9);
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
  EXPECT_EQ(manager->Find(ModelRef())->run, a);
  session->WriteCheckpoint(1);
  EXPECT_EQ(manager->Find(ModelRef())->run, b);
}

TEST_F(RunManagerTest, LatestIsTheLastStartedRunThoughTheClockWentBack) {
  auto manager = Open();
  const auto run_to_its_end = [&] {
    std::string id = StartRun(manager.get());
    const auto session = trainer_.Await();
    session->WriteCheckpoint(10);
    session->Finish(TrainOutcome::kFinished);
    AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
    return id;
  };
  const std::string before = run_to_its_end();
  clock_.Advance(-absl::Hours(24 * 30));
  const std::string after = run_to_its_end();
  EXPECT_EQ(StatusOf(manager.get(), "").id(), after);
  EXPECT_EQ(manager->Find(ModelRef())->run, after);
  // The count is stored.
  manager = nullptr;
  manager = Open();
  EXPECT_EQ(StatusOf(manager.get(), "").id(), after);
  const std::string last = run_to_its_end();
  EXPECT_EQ(StatusOf(manager.get(), "").id(), last);
  // An earlier run that is resumed becomes the last one started.
  vit::v1::ResumeRunRequest resume = ResumeRequest(before);
  resume.mutable_changes()->set_max_steps(200);
  ASSERT_TRUE(manager->Resume(resume).ok());
  trainer_.Await();
  EXPECT_EQ(StatusOf(manager.get(), "").id(), before);
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
    observer->OnBadImage(
        {"a.jpg", absl::InvalidArgumentError("truncated"), DataSplit::kTrain, 1, 0});
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

}  // namespace
}  // namespace vit
