// TrainingService over a real channel on loopback, with a run that does what the test says and time
// that the test owns.
#include "server/services/training_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/models/model_repository.h"
#include "core/models/servable_model.h"
#include "server/net/grpc_server.h"
#include "tests/core/data/testing.h"
#include "tests/server/scripted_runs.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using vit::v1::SPLIT_TRAIN;
using vit::v1::SPLIT_VALIDATION;

class TrainingServiceTest : public testing::Test {
 protected:
  TrainingServiceTest() {
    auto server = GrpcServer::Create({.address = {"127.0.0.1", 0}}, {&service_});
    if (!server.ok()) throw std::runtime_error(server.status().ToString());
    server_ = *std::move(server);
    stub_ = vit::v1::TrainingService::NewStub(grpc::CreateChannel(
        absl::StrCat("127.0.0.1:", server_->port()), grpc::InsecureChannelCredentials()));
  }
  ~TrainingServiceTest() override {
    service_.EndWatches();
    server_.reset();
  }

  // Every call of a test ends, come what may.
  static std::unique_ptr<grpc::ClientContext> NewContext() {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    return context;
  }

  static std::vector<std::string> Points(const vit::v1::WatchResponse& message) {
    std::vector<std::string> points;
    for (const auto& p : message.points()) {
      points.push_back(absl::StrCat(p.split() == SPLIT_TRAIN ? "t" : "v", p.step()));
    }
    return points;
  }

  FakeClock clock_;
  ScriptedRuns runs_;
  CallTracker calls_{Clock::Real()};
  TaskPool pool_{"call", 1, 16};
  TrainingService service_{&pool_, &calls_, &clock_};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<vit::v1::TrainingService::Stub> stub_;
};

TEST_F(TrainingServiceTest, AnswersUnavailableUntilItServes) {
  vit::v1::StatusResponse response;
  EXPECT_EQ(stub_->Status(NewContext().get(), {}, &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  service_.Serve(&runs_, TrainingEnvironment());
  EXPECT_TRUE(stub_->Status(NewContext().get(), {}, &response).ok());
  EXPECT_EQ(response.run().id(), "r1");
}

TEST_F(TrainingServiceTest, ErrorsKeepTheirCodeAndMessage) {
  service_.Serve(&runs_, TrainingEnvironment());
  vit::v1::StatusRequest request;
  request.set_run("r9");
  vit::v1::StatusResponse status;
  const grpc::Status missing = stub_->Status(NewContext().get(), request, &status);
  EXPECT_EQ(missing.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(missing.error_message(), "no run 'r9'");
  vit::v1::StartTrainingResponse start;
  EXPECT_EQ(stub_->StartTraining(NewContext().get(), {}, &start).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  vit::v1::StopRunResponse stop;
  EXPECT_EQ(stub_->StopRun(NewContext().get(), {}, &stop).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  vit::v1::DeleteRunResponse removed;
  EXPECT_EQ(stub_->DeleteRun(NewContext().get(), {}, &removed).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(TrainingServiceTest, ClientThatGivesUpDuringAStartIsKnownToHaveGone) {
  service_.Serve(&runs_, TrainingEnvironment());
  const auto context = NewContext();
  std::promise<bool> gone;
  runs_.on_start = [&](const RunManager::Cancelled& cancelled) {
    EXPECT_FALSE(cancelled());
    context->TryCancel();
    while (!cancelled()) std::this_thread::yield();
    gone.set_value(true);
    return absl::CancelledError("gave up");
  };
  vit::v1::StartTrainingResponse response;
  EXPECT_EQ(stub_->StartTraining(context.get(), {}, &response).error_code(),
            grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(gone.get_future().get());
}

TEST_F(TrainingServiceTest, DrainingRefusesNewRunsButStillAnswers) {
  service_.Serve(&runs_, TrainingEnvironment());
  service_.RefuseNewWork();
  vit::v1::StartTrainingResponse start;
  const grpc::Status refused = stub_->StartTraining(NewContext().get(), {}, &start);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_message(), HasSubstr("shutting down"));
  vit::v1::ResumeRunResponse resume;
  EXPECT_EQ(stub_->ResumeRun(NewContext().get(), {}, &resume).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  vit::v1::StatusResponse status;
  EXPECT_TRUE(stub_->Status(NewContext().get(), {}, &status).ok());
}

TEST_F(TrainingServiceTest, PresetsAreListedAndAMisspeltOneNamesTheNearest) {
  vit::v1::ListPresetsResponse all;
  ASSERT_TRUE(stub_->ListPresets(NewContext().get(), {}, &all).ok());
  EXPECT_GE(all.presets_size(), 8);
  vit::v1::ListPresetsRequest request;
  request.set_name("shapes_demp");
  vit::v1::ListPresetsResponse one;
  const grpc::Status status = stub_->ListPresets(NewContext().get(), request, &one);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("shapes_demo"));
}

TEST_F(TrainingServiceTest, WatchTellsOfEachPointOnceAndEndsWithTheRun) {
  service_.Serve(&runs_, TrainingEnvironment());
  runs_.AddPoint(SPLIT_TRAIN, 20);
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_THAT(Points(message), ElementsAre("t20"));
  runs_.AddPoint(SPLIT_TRAIN, 40);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_THAT(Points(message), ElementsAre("t40"));
  // An evaluation's point comes after the training point of the same step.
  runs_.AddPoint(SPLIT_VALIDATION, 40);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_THAT(Points(message), ElementsAre("v40"));
  runs_.Finish(vit::v1::RUN_STATE_SUCCEEDED);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.run().state(), vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_THAT(Points(message), IsEmpty());
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_TRUE(stream->Finish().ok());
  runs_.AwaitSubscribers(0);
}

TEST_F(TrainingServiceTest, ChangesWithinATenthOfASecondAreToldTogether) {
  service_.Serve(&runs_, TrainingEnvironment());
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  for (int step = 1; step <= 50; ++step) runs_.AddPoint(SPLIT_TRAIN, step);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(99));
  clock_.AwaitWaiters(1);
  runs_.AddPoint(SPLIT_TRAIN, 51);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(1));
  // If any of the changes had been reported by itself, this message would hold fewer.
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.points_size(), 51);
  EXPECT_EQ(message.run().step(), 51);
}

TEST_F(TrainingServiceTest, HistoryThatARunWentBackOverIsToldAgain) {
  service_.Serve(&runs_, TrainingEnvironment());
  runs_.AddPoint(SPLIT_TRAIN, 20);
  runs_.AddPoint(SPLIT_TRAIN, 40);
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_THAT(Points(message), ElementsAre("t20", "t40"));
  runs_.Change([](vit::v1::Run* run, std::vector<vit::v1::MetricPoint>* history) {
    run->set_step(30);
    history->pop_back();
  });
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  ASSERT_TRUE(stream->Read(&message));
  runs_.AddPoint(SPLIT_TRAIN, 40);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_THAT(Points(message), ElementsAre("t40"));
}

TEST_F(TrainingServiceTest, ClientThatCancelsIsForgotten) {
  service_.Serve(&runs_, TrainingEnvironment());
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  runs_.AwaitSubscribers(1);
  context->TryCancel();
  runs_.AwaitSubscribers(0);
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(TrainingServiceTest, ManyWatchersAreServedByOneThread) {
  service_.Serve(&runs_, TrainingEnvironment());
  constexpr int kWatchers = 50;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReader<vit::v1::WatchResponse>>> streams;
  vit::v1::WatchResponse message;
  for (int i = 0; i < kWatchers; ++i) {
    contexts.push_back(NewContext());
    streams.push_back(stub_->Watch(contexts.back().get(), {}));
    ASSERT_TRUE(streams.back()->Read(&message));
  }
  runs_.Finish(vit::v1::RUN_STATE_STOPPED);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  for (auto& stream : streams) {
    ASSERT_TRUE(stream->Read(&message));
    EXPECT_EQ(message.run().state(), vit::v1::RUN_STATE_STOPPED);
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST_F(TrainingServiceTest, WatchEndsUnavailableWhenTheDaemonGoes) {
  service_.Serve(&runs_, TrainingEnvironment());
  const auto expect_end = [](grpc::ClientReader<vit::v1::WatchResponse>* stream) {
    vit::v1::WatchResponse message;
    while (stream->Read(&message)) {
    }
    const grpc::Status status = stream->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("shutting down"));
  };
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  // The run is interrupted a while before the streams are ended.
  service_.RefuseNewWork();
  runs_.Finish(vit::v1::RUN_STATE_INTERRUPTED);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(100));
  expect_end(stream.get());

  runs_.Finish(vit::v1::RUN_STATE_RUNNING);
  context = NewContext();
  stream = stub_->Watch(context.get(), {});
  ASSERT_TRUE(stream->Read(&message));
  service_.EndWatches();
  expect_end(stream.get());
}

TEST_F(TrainingServiceTest, WatchOfARunThatIsDoneEndsWellAlsoWhenTheDaemonGoes) {
  service_.Serve(&runs_, TrainingEnvironment());
  service_.RefuseNewWork();
  runs_.Finish(vit::v1::RUN_STATE_SUCCEEDED);
  service_.EndWatches();
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_EQ(message.run().state(), vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TrainingServiceTest, WatchOfARunInterruptedEarlierEndsWell) {
  service_.Serve(&runs_, TrainingEnvironment());
  runs_.Finish(vit::v1::RUN_STATE_INTERRUPTED);
  auto context = NewContext();
  auto stream = stub_->Watch(context.get(), {});
  vit::v1::WatchResponse message;
  ASSERT_TRUE(stream->Read(&message));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(TrainingServiceTest, WatchOfNoRunIsNotFound) {
  service_.Serve(&runs_, TrainingEnvironment());
  vit::v1::WatchRequest request;
  request.set_run("r9");
  auto context = NewContext();
  EXPECT_EQ(stub_->Watch(context.get(), request)->Finish().error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST(ModelCatalogTest, NamesMeanRunsAndModels) {
  ScriptedRuns runs;
  TemporaryFolder folder;
  std::vector<std::string> damaged;
  const auto models =
      ModelRepository::Open(folder.path() / "models", Device::Cpu(), Clock::Real(), &damaged);
  ASSERT_TRUE(models.ok()) << models.status();
  ModelCatalog catalog(&runs, models->get());
  for (const char* text : {"", "latest", "run:r1"}) {
    const auto found = catalog.Find(*ModelRef::Parse(text));
    ASSERT_TRUE(found.ok()) << text << found.status();
    EXPECT_EQ(found->name, "run:r1");
    EXPECT_EQ(found->step, 7);
    EXPECT_EQ(found->version(), 7);
  }
  for (const char* text : {"run:none", "pets", "pets@2", "model:pets"}) {
    EXPECT_EQ(catalog.Find(*ModelRef::Parse(text)).status().code(), absl::StatusCode::kNotFound)
        << text;
  }
}

}  // namespace
}  // namespace vit
