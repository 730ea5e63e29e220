// The whole daemon in this process, on loopback, with real runs of a tiny model.
#include "server/daemon.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/core/data/testing.h"
#include "tests/server/loopback_config.h"
#include "tests/server/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DaemonTest : public testing::Test {
 protected:
  void StartDaemon() {
    auto daemon = Daemon::Create(config_, &logger_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    client_ = std::make_unique<Client>(daemon_->grpc_port());
  }
  void StopDaemon() {
    daemon_->Shutdown(absl::Now() + absl::Seconds(60));
    daemon_.reset();
  }
  std::string Scrape() { return HttpGet(daemon_->metrics_port(), "/metrics"); }

  grpc::Status StartError(const vit::v1::TrainingSpec& spec, const std::string& preset = "") {
    vit::v1::StartTrainingRequest request;
    *request.mutable_spec() = spec;
    request.set_preset(preset);
    vit::v1::StartTrainingResponse response;
    return client_->training().StartTraining(NewContext().get(), request, &response);
  }

  TemporaryFolder folder_;
  ServerConfig config_ = LoopbackConfig(folder_.path());
  Logger logger_{LogFormat::kText, LogLevel::kError};
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> client_;
};

TEST_F(DaemonTest, WritesItsPortsWhileItIsThere) {
  StartDaemon();
  std::ifstream file(PortsFile(config_));
  const nlohmann::json ports = nlohmann::json::parse(file);
  EXPECT_EQ(ports["grpc"], daemon_->grpc_port());
  EXPECT_EQ(ports["metrics"], daemon_->metrics_port());
  EXPECT_GT(daemon_->grpc_port(), 0);
  EXPECT_GT(daemon_->metrics_port(), 0);
  StopDaemon();
  EXPECT_FALSE(fs::exists(PortsFile(config_)));
}

TEST_F(DaemonTest, StateDirectoryIsItsOwnersAlone) {
  StartDaemon();
  struct stat info = {};
  ASSERT_EQ(stat(config_.state_dir.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(DaemonTest, SecondDaemonOnAStateDirectoryIsRefused) {
  StartDaemon();
  const auto second = Daemon::Create(config_, &logger_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(second.status().message()),
      AllOf(HasSubstr(config_.state_dir), HasSubstr("another vitd"), HasSubstr("--state-dir")));
  EXPECT_TRUE(fs::exists(PortsFile(config_))) << "the first one's";
  StopDaemon();
  StartDaemon();  // free again
}

TEST_F(DaemonTest, TakenPortIsRefusedAndNamed) {
  StartDaemon();
  ServerConfig other = config_;
  other.state_dir += "2";
  other.listen = absl::StrCat("127.0.0.1:", daemon_->grpc_port());
  absl::Status status = Daemon::Create(other, &logger_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(other.listen), HasSubstr("another process")));
  EXPECT_FALSE(fs::exists(fs::path(other.state_dir) / "runs.db"))
      << "found before any run is touched";
  other.listen = "127.0.0.1:0";
  other.metrics_listen = absl::StrCat("127.0.0.1:", daemon_->metrics_port());
  status = Daemon::Create(other, &logger_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr(other.metrics_listen));
}

TEST_F(DaemonTest, SocketOfADaemonThatIsGoneIsReplacedAndRemovedAtTheEnd) {
  const std::string path = (folder_.path() / "vitd.sock").string();
  config_.listen = "unix:" + path;
  const int stale = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name = {.sun_family = AF_UNIX};
  path.copy(name.sun_path, sizeof(name.sun_path) - 1);
  ASSERT_EQ(bind(stale, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  close(stale);
  StartDaemon();
  const auto stub = vit::v1::TrainingService::NewStub(
      grpc::CreateChannel(config_.listen, grpc::InsecureChannelCredentials()));
  vit::v1::ListRunsResponse runs;
  EXPECT_TRUE(stub->ListRuns(NewContext().get(), {}, &runs).ok());
  std::ifstream file(PortsFile(config_));
  EXPECT_EQ(nlohmann::json::parse(file)["grpc"], config_.listen);
  StopDaemon();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(DaemonTest, SocketInUseAndFileInItsPlaceAreLeftAlone) {
  config_.listen = absl::StrCat("unix:", folder_.root(), "/vitd.sock");
  StartDaemon();
  ServerConfig other = config_;
  other.state_dir += "2";
  absl::Status status = Daemon::Create(other, &logger_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(config_.listen), HasSubstr("another process")));
  EXPECT_TRUE(fs::exists(folder_.path() / "vitd.sock"));
  folder_.Write("notes", "dear to somebody");
  other.listen = absl::StrCat("unix:", folder_.root(), "/notes");
  status = Daemon::Create(other, &logger_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not a socket"));
  EXPECT_TRUE(fs::exists(folder_.path() / "notes"));
}

TEST_F(DaemonTest, UnwritableStateDirectoryIsRefusedAndNamed) {
  folder_.Write("file", "not a folder");
  config_.state_dir = (folder_.path() / "file" / "state").string();
  const absl::Status status = Daemon::Create(config_, &logger_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("state directory ", config_.state_dir)));
}

TEST_F(DaemonTest, StateDirectoryThatTakesNoFileIsRefusedAndNamed) {
  fs::create_directories(fs::path(config_.state_dir) / "vitd.lock");
  const absl::Status status = Daemon::Create(config_, &logger_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr(absl::StrCat("state directory ", config_.state_dir, " cannot be written: ")));
}

TEST_F(DaemonTest, HealthIsPerServiceAndFollowsTheDaemon) {
  StartDaemon();
  const auto health = grpc::health::v1::Health::NewStub(Connect(daemon_->grpc_port()));
  for (const char* service : {"", "vit.v1.TrainingService", "vit.v1.InferenceService"}) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    grpc::health::v1::HealthCheckResponse response;
    ASSERT_TRUE(health->Check(NewContext().get(), request, &response).ok()) << service;
    EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING) << service;
  }
  grpc::health::v1::HealthCheckRequest unknown;
  unknown.set_service("vit.v1.NoSuchService");
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_EQ(health->Check(NewContext().get(), unknown, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);

  grpc::health::v1::HealthCheckRequest request;
  request.set_service("vit.v1.InferenceService");
  const auto context = NewContext();
  const auto stream = health->Watch(context.get(), request);
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
  std::thread stopping([&] { StopDaemon(); });
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
  stopping.join();
}

// What the daemon answers to `bytes` as the request of `method`.
grpc::Status CallWithBytes(int port, const std::string& method, const std::string& bytes) {
  grpc::Slice slice(bytes);
  grpc::ByteBuffer request(&slice, 1), response;
  grpc::GenericStub stub(Connect(port));
  grpc::CompletionQueue queue;
  const auto context = NewContext();
  const auto call = stub.PrepareUnaryCall(context.get(), method, request, &queue);
  grpc::Status status;
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  return status;
}

TEST_F(DaemonTest, RequestThatIsNoMessageIsSaidToBeThat) {
  StartDaemon();
  const int port = daemon_->grpc_port();
  const std::string list = "/vit.v1.TrainingService/ListRuns";
  EXPECT_TRUE(CallWithBytes(port, list, "").ok());
  const std::string stop = "/vit.v1.TrainingService/StopRun";
  EXPECT_EQ(CallWithBytes(port, stop, std::string("\x0a\x01x", 3)).error_code(),
            grpc::StatusCode::NOT_FOUND);
  for (const std::string& bytes :
       {std::string("\x0a\xff\xff\xff\x0f", 5),  // a length beyond the end
        std::string("\x0a\x02\xc3\x28", 4),      // not UTF-8
        std::string("not a message")}) {
    const grpc::Status status = CallWithBytes(port, stop, bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), AllOf(HasSubstr(stop), HasSubstr("UTF-8")));
  }
  const grpc::Status unknown = CallWithBytes(port, "/vit.v1.TrainingService/NoSuchCall", "");
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(DaemonTest, ReflectionListsTheServices) {
  StartDaemon();
  // ServerReflectionRequest{list_services: "*"}, by hand: its proto is gRPC's own.
  const std::string bytes = "\x3a\x01*";
  grpc::Slice slice(bytes);
  grpc::ByteBuffer request(&slice, 1), response;
  grpc::GenericStub stub(Connect(daemon_->grpc_port()));
  grpc::CompletionQueue queue;
  const auto context = NewContext();
  const auto call = stub.PrepareCall(
      context.get(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  call->Write(request, nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  call->Read(&response, nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  grpc::Slice answer;
  ASSERT_TRUE(response.DumpToSingleSlice(&answer).ok());
  const std::string text(reinterpret_cast<const char*>(answer.begin()), answer.size());
  EXPECT_THAT(text, AllOf(HasSubstr("vit.v1.TrainingService"), HasSubstr("vit.v1.InferenceService"),
                          HasSubstr("grpc.health.v1.Health")));
  call->WritesDone(nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok));
  grpc::Status status;
  call->Finish(&status, nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok));
}

TEST_F(DaemonTest, MetricsShowWhatStatusShows) {
  StartDaemon();
  const vit::v1::Run run = client_->Start(TinySpec(20));
  ASSERT_EQ(client_->AwaitEnd(run.id()).state(), vit::v1::RUN_STATE_SUCCEEDED);
  const vit::v1::Run shown = client_->Status(run.id()).run();
  const std::string text = Scrape();
  const auto value = [&](absl::string_view name, absl::string_view labels) {
    const auto found =
        MetricValue(text, absl::StrCat(name, "{run=\"", run.id(), "\"", labels, "}"));
    EXPECT_TRUE(found.has_value()) << name << labels << "\n" << text;
    return found.value_or(-1);
  };
  EXPECT_DOUBLE_EQ(value("vitd_training_loss", ",split=\"train\""), shown.last_train().loss());
  EXPECT_DOUBLE_EQ(value("vitd_training_loss", ",split=\"validation\""),
                   shown.last_validation().loss());
  EXPECT_DOUBLE_EQ(value("vitd_training_accuracy_ratio", ",split=\"train\""),
                   shown.last_train().accuracy());
  EXPECT_DOUBLE_EQ(value("vitd_training_accuracy_ratio", ",split=\"validation\""),
                   shown.last_validation().accuracy());
  EXPECT_DOUBLE_EQ(value("vitd_training_learning_rate", ""), shown.last_train().learning_rate());
  EXPECT_DOUBLE_EQ(value("vitd_training_grad_norm", ""), shown.last_train().grad_norm());
  EXPECT_DOUBLE_EQ(value("vitd_training_epoch", ""), shown.epoch());
  EXPECT_EQ(value("vitd_training_progress_ratio", ""), 1);
  EXPECT_EQ(value("vitd_training_steps_total", ""), 20);
  EXPECT_EQ(value("vitd_training_samples_total", ""), 20 * 16);
  EXPECT_EQ(value("vitd_training_bad_images_total", ""), 0);
  EXPECT_GT(value("vitd_checkpoint_last_success_timestamp_seconds", ""), 1.7e9);
  EXPECT_EQ(MetricValue(text, "vitd_runs{state=\"succeeded\"}"), 1);
  EXPECT_EQ(MetricValue(text, "vitd_training_step_seconds_count{phase=\"compute\"}"), 20);
  EXPECT_GE(MetricValue(text, "vitd_checkpoint_write_seconds_count").value_or(0), 2);
  EXPECT_GT(MetricValue(text, "process_resident_memory_bytes").value_or(0), 1e6);

  vit::v1::DeleteRunRequest request;
  request.set_run(run.id());
  vit::v1::DeleteRunResponse response;
  ASSERT_TRUE(client_->training().DeleteRun(NewContext().get(), request, &response).ok());
  // Events are delivered in order, so the deletion is known once a later run has ended.
  client_->AwaitEnd(client_->Start(TinySpec(1)).id());
  EXPECT_THAT(Scrape(), Not(HasSubstr(run.id())));
}

TEST_F(DaemonTest, TellsHowTheClassesDid) {
  StartDaemon();
  const vit::v1::Run run = client_->Start(TinySpec(20));
  ASSERT_EQ(client_->AwaitEnd(run.id()).state(), vit::v1::RUN_STATE_SUCCEEDED);
  const vit::v1::Run ended = client_->Status(run.id()).run();
  vit::v1::GetEvaluationRequest request;
  request.set_run(run.id());
  vit::v1::GetEvaluationResponse response;
  grpc::Status status = client_->training().GetEvaluation(NewContext().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.evaluation().step(), ended.best_checkpoint().step());
  EXPECT_EQ(response.evaluation().accuracy(), ended.best_checkpoint().accuracy());
  EXPECT_EQ(response.evaluation().classes_size(), 10);
  request.set_step(3);
  status = client_->training().GetEvaluation(NewContext().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(),
              HasSubstr("keeps no evaluation of step 3; its evaluated checkpoints are"));
}

TEST_F(DaemonTest, DrawsWhatARunWouldSee) {
  StartDaemon();
  vit::v1::PreviewDataRequest request;
  *request.mutable_spec() = TinySpec(20);
  request.mutable_spec()->mutable_mixing()->set_cutmix_alpha(1);
  request.set_count(4);
  request.set_step(7);
  vit::v1::PreviewDataResponse response;
  grpc::Status status = client_->training().PreviewData(NewContext().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response.png(), ::testing::StartsWith("\x89PNG"));
  for (const auto& [step, count, message] :
       {std::tuple{20, 4, "step is 20; the run has steps 0 to 19"},
        {0, 17, "count is 17; expected 1 to 16"}}) {
    request.set_step(step);
    request.set_count(count);
    status = client_->training().PreviewData(NewContext().get(), request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(message));
  }
}

TEST_F(DaemonTest, MetricsOfEarlierRunsAreThereAfterARestart) {
  StartDaemon();
  const vit::v1::Run run = client_->Start(TinySpec(4));
  client_->AwaitEnd(run.id());
  StopDaemon();
  StartDaemon();
  const vit::v1::Run shown = client_->Status(run.id()).run();
  const auto loss = MetricValue(
      Scrape(), absl::StrCat("vitd_training_loss{run=\"", run.id(), "\",split=\"train\"}"));
  ASSERT_TRUE(loss.has_value());
  EXPECT_DOUBLE_EQ(*loss, shown.last_train().loss());
}

TEST_F(DaemonTest, PromtoolAcceptsTheMetrics) {
  // scripts/bootstrap --dev unpacks it here.
  std::string promtool = absl::StrCat(VIT_SOURCE_DIR, "/.venv/prometheus/usr/bin/promtool");
  if (!fs::exists(promtool)) {
    if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
      GTEST_SKIP() << "no promtool; scripts/bootstrap --dev brings it";
    }
    promtool = "promtool";
  }
  StartDaemon();
  client_->AwaitEnd(client_->Start(TinySpec(8)).id());
  vit::v1::ClassifyResponse response;
  ASSERT_TRUE(client_->Classify({Encode(SmoothImage(20, 20), ".png")}, "", &response).ok());
  std::ofstream(folder_.path() / "metrics.txt") << Scrape();
  EXPECT_EQ(std::system(
                absl::StrCat("'", promtool, "' check metrics < '", folder_.root(), "/metrics.txt'")
                    .c_str()),
            0);
}

TEST_F(DaemonTest, ClassifiesFromTheRunsCheckpoint) {
  StartDaemon();
  vit::v1::ClassifyResponse response;
  const std::string png = Encode(SmoothImage(40, 30), ".png");
  EXPECT_EQ(client_->Classify({png}, "", &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  const vit::v1::Run run = client_->Start(TinySpec(16));
  client_->AwaitEnd(run.id());
  const grpc::Status status = client_->Classify({png, "no image"}, "run:" + run.id(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model().run(), run.id());
  EXPECT_EQ(response.model().step(), client_->Status(run.id()).run().best_checkpoint().step());
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).classes_size(), 5);
  EXPECT_FALSE(response.results(0).classes(0).label().empty());
  EXPECT_EQ(response.results(1).code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  const std::string text = Scrape();
  const std::string model =
      absl::StrCat("{model=\"run:", run.id(), "\",version=\"", response.model().step(), "\"}");
  EXPECT_EQ(MetricValue(text, "vitd_model_loaded" + model), 1) << text;
  EXPECT_THAT(text, HasSubstr("vitd_inference_requests_total{"));
  EXPECT_THAT(text, HasSubstr(absl::StrCat("vitd_inference_batch_size_count", model, " ")));
}

TEST_F(DaemonTest, ImagesThatCannotBeTakenEachHaveTheirCode) {
  config_.max_image_bytes = 100'000;
  config_.max_image_pixels = 1'000'000;
  StartDaemon();
  client_->AwaitEnd(client_->Start(TinySpec(8)).id());
  vit::v1::ClassifyResponse response;
  const auto expect_error = [&](const std::vector<std::string>& images, const std::string& model,
                                grpc::StatusCode code, const std::string& message) {
    const grpc::Status status = client_->Classify(images, model, &response);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(message));
  };
  expect_error({""}, "", grpc::StatusCode::INVALID_ARGUMENT, "the image is empty (0 bytes)");
  expect_error({"a text file"}, "", grpc::StatusCode::INVALID_ARGUMENT,
               "not a JPEG, PNG, WebP or BMP image");
  expect_error({std::string(100'001, 'x')}, "", grpc::StatusCode::RESOURCE_EXHAUSTED,
               "100001 bytes, over the limit of 100000");
  // A BMP header of 30,000 x 30,000 pixels, and nothing after it.
  std::string bomb(200, '\0');
  bomb.replace(0, 2, "BM");
  const auto put32 = [&](size_t at, uint32_t v) {
    for (int i = 0; i < 4; ++i) bomb[at + i] = static_cast<char>(v >> 8 * i);
  };
  put32(2, 200);     // file size
  put32(10, 54);     // where the pixels begin
  put32(14, 40);     // size of the second header
  put32(18, 30000);  // width
  put32(22, 30000);  // height
  bomb[26] = 1;      // planes
  bomb[28] = 24;     // bits
  expect_error({bomb}, "", grpc::StatusCode::RESOURCE_EXHAUSTED,
               "30000x30000, 900000000 pixels, over the limit of 1000000");
  expect_error({}, "", grpc::StatusCode::INVALID_ARGUMENT, "images is empty");
  const std::string png = Encode(SmoothImage(20, 20), ".png");
  expect_error({png}, "run:none", grpc::StatusCode::NOT_FOUND, "'none'");
  expect_error({png}, "model:x", grpc::StatusCode::NOT_FOUND, "no model 'x'");
  expect_error({png}, "a/b", grpc::StatusCode::INVALID_ARGUMENT, "model name 'a/b'");
}

TEST_F(DaemonTest, RequestLargerThanTheLimitIsRefusedAndOneBelowItIsRead) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP()
      << "ThreadSanitizer looks at 150 MiB in gRPC for minutes; no thread is at stake here";
#endif
  StartDaemon();
  client_->AwaitEnd(client_->Start(TinySpec(8)).id());
  const std::string png = Encode(SmoothImage(20, 20), ".png");
  vit::v1::ClassifyResponse response;
  // 5 MiB: beyond gRPC's own default.
  EXPECT_TRUE(client_->Classify({png, std::string(5 << 20, 'x')}, "", &response).ok());
  const grpc::Status refused =
      client_->Classify(std::vector<std::string>(5, std::string(30 << 20, 'x')), "", &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << refused.error_message();
}

TEST_F(DaemonTest, RunsThatCannotStartEachHaveTheirCodeAndMessage) {
  const fs::path root = folder_.path() / "data";
  fs::create_directories(root);
  fs::create_directories(folder_.path() / "outside" / "train" / "cat");
  fs::create_directory_symlink(folder_.path() / "outside", root / "link");
  fs::create_directories(root / "empty" / "train");
  config_.data_roots = {root.string()};
  StartDaemon();
  vit::v1::TrainingSpec spec = TinySpec(8);
  grpc::Status status = StartError(spec, "vit_tinny_patch16_224");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("vit_tiny_patch16_224"));
  spec.mutable_data()->set_source("folder:" + (root / "missing").string());
  status = StartError(spec);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("missing"));
  spec.mutable_data()->set_source("folder:" + (folder_.path() / "outside").string());
  status = StartError(spec);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr(root.string()));
  spec.mutable_data()->set_source("folder:" + (root / "link").string());
  EXPECT_EQ(StartError(spec).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  spec.mutable_data()->set_source("folder:" + (root / "empty").string());
  EXPECT_EQ(StartError(spec).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  spec = TinySpec(8);
  spec.mutable_model()->set_num_heads(3);
  status = StartError(spec);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("num_heads"));
}

TEST_F(DaemonTest, UnreadableTrainingImagesAreLeftOutCountedAndNamedInTheLog) {
  for (int i = 0; i < 20; ++i) {
    folder_.Write(absl::StrCat("data/train/", i % 2 == 0 ? "a/" : "b/", i, ".jpg"),
                  Encode(SmoothImage(20, 20, i), ".jpg"));
  }
  folder_.Write("data/train/a/notes.jpg", "a text file");
  folder_.Write("data/train/b/empty.jpg", "");
  config_.data_roots = {folder_.root()};
  std::ostringstream log;
  logger_ = Logger(LogFormat::kText, LogLevel::kWarning,
                   std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  StartDaemon();
  vit::v1::TrainingSpec spec = TinySpec(8);
  spec.mutable_data()->set_source("folder:" + (folder_.path() / "data").string());
  spec.mutable_data()->set_max_bad_fraction(0.1);
  const vit::v1::Run run = client_->AwaitEnd(client_->Start(spec).id());
  EXPECT_EQ(run.state(), vit::v1::RUN_STATE_SUCCEEDED) << run.message();
  EXPECT_EQ(run.bad_images(), 2);
  StopDaemon();
  for (const char* line : {"/data/train/a/notes.jpg why=\"not a JPEG, PNG, WebP or BMP image",
                           "/data/train/b/empty.jpg why=\"the image is empty (0 bytes)\""}) {
    EXPECT_THAT(log.str(), AllOf(HasSubstr("unreadable image, left out run=" + run.id()),
                                 HasSubstr(absl::StrCat("image=", folder_.root(), line))));
  }
}

TEST_F(DaemonTest, FullQueueIsRefused) {
  config_.max_queued_runs = 1;
  StartDaemon();
  const vit::v1::Run running = client_->Start(TinySpec(1'000'000));
  client_->AwaitStep(running.id(), 1);
  client_->Start(TinySpec(8));
  const grpc::Status status = StartError(TinySpec(8));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(),
            "the queue is full: 1 runs wait, and --max-queued-runs is 1; wait for one to end, stop "
            "one, or raise the limit");
}

TEST_F(DaemonTest, ShutdownInterruptsTheRunAndTheNextDaemonGoesOn) {
  StartDaemon();
  vit::v1::TrainingSpec spec = TinySpec(400);
  spec.mutable_evaluation()->set_every_steps(100);
  const vit::v1::Run run = client_->Start(spec);
  client_->AwaitStep(run.id(), 20);
  StopDaemon();
  config_.resume_interrupted = false;
  StartDaemon();
  const vit::v1::Run waiting = client_->Status(run.id()).run();
  EXPECT_EQ(waiting.state(), vit::v1::RUN_STATE_INTERRUPTED);
  EXPECT_GE(waiting.last_checkpoint().step(), 20);
  StopDaemon();
  config_.resume_interrupted = true;
  config_.loader_threads = 3;
  StartDaemon();
  const vit::v1::Run done = client_->AwaitEnd(run.id());
  EXPECT_EQ(done.state(), vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_EQ(done.step(), 400);
}

TEST_F(DaemonTest, CallsAreAnsweredWhileARunTrains) {
  StartDaemon();
  const vit::v1::Run run = client_->Start(TinySpec(1'000'000), "long");
  const vit::v1::Run seen = client_->AwaitStep(run.id(), 30);
  EXPECT_EQ(seen.state(), vit::v1::RUN_STATE_RUNNING);
  vit::v1::StopRunRequest stop;
  stop.set_run("long");
  vit::v1::StopRunResponse stopping;
  ASSERT_TRUE(client_->training().StopRun(NewContext().get(), stop, &stopping).ok());
  const vit::v1::Run stopped = client_->AwaitEnd(run.id());
  EXPECT_EQ(stopped.state(), vit::v1::RUN_STATE_STOPPED);
  EXPECT_EQ(stopped.last_checkpoint().step(), stopped.step());
}

}  // namespace
}  // namespace vit
