// What the Open Inference Protocol says about the server and its models, and its streams.
#include "server/services/open_inference/open_inference_service.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/net/grpc_server.h"
#include "tests/server/open_inference_testing.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string File(int seed = 0) { return Encode(SmoothImage(40, 30, seed), ".png"); }

using Stream =
    grpc::ClientReaderWriter<inference::ModelInferRequest, inference::ModelStreamInferResponse>;

class OpenInferenceServiceTest : public OpenInferenceTest {
 protected:
  inference::ModelMetadataResponse Metadata(const std::string& name) {
    inference::ModelMetadataRequest request;
    request.set_name(name);
    inference::ModelMetadataResponse response;
    const grpc::Status status = stub().ModelMetadata(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  bool IsReady(const std::string& name, const std::string& version = "") {
    inference::ModelReadyRequest request;
    request.set_name(name);
    request.set_version(version);
    inference::ModelReadyResponse response;
    const grpc::Status status = stub().ModelReady(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.ready();
  }
  inference::ModelStatisticsResponse Statistics(const std::string& name) {
    inference::ModelStatisticsRequest request;
    request.set_name(name);
    inference::ModelStatisticsResponse response;
    const grpc::Status status = stub().ModelStatistics(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // State and reason of each model.
  std::map<std::string, std::string> Index(bool ready = false) {
    inference::RepositoryIndexRequest request;
    request.set_ready(ready);
    inference::RepositoryIndexResponse response;
    const grpc::Status status = stub().RepositoryIndex(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::map<std::string, std::string> index;
    for (const auto& model : response.models()) {
      index[absl::StrCat(model.name(), "@", model.version())] =
          absl::StrCat(model.state(), ": ", model.reason());
    }
    return index;
  }
  grpc::Status Load(const std::string& name) {
    inference::RepositoryModelLoadRequest request;
    request.set_model_name(name);
    inference::RepositoryModelLoadResponse response;
    return stub().RepositoryModelLoad(NewContext().get(), request, &response);
  }
  grpc::Status Unload(const std::string& name) {
    inference::RepositoryModelUnloadRequest request;
    request.set_model_name(name);
    inference::RepositoryModelUnloadResponse response;
    return stub().RepositoryModelUnload(NewContext().get(), request, &response);
  }
};

TEST(OpenInferenceGateTest, IsLiveBeforeItServesAndReadyOnlyWhileItTakesRequests) {
  TaskPool pool("call", 1, 8);
  CallTracker calls(Clock::Real());
  OpenInferenceService service(&pool, &calls, "1.2.3");
  const auto server =
      GrpcServer::Create({.address = *ParseListenAddressOrSocket("127.0.0.1:0")}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = inference::GRPCInferenceService::NewStub(Connect((*server)->port()));
  const auto is_live = [&] {
    inference::ServerLiveResponse response;
    EXPECT_TRUE(stub->ServerLive(NewContext().get(), {}, &response).ok());
    return response.live();
  };
  const auto is_ready = [&] {
    inference::ServerReadyResponse response;
    EXPECT_TRUE(stub->ServerReady(NewContext().get(), {}, &response).ok());
    return response.ready();
  };
  const auto expect_unavailable = [&](const std::string& why) {
    inference::ModelInferResponse response;
    const grpc::Status status =
        stub->ModelInfer(NewContext().get(), FilesRequest({File()}), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr(why));
    const auto context = NewContext();
    const auto stream = stub->ModelStreamInfer(context.get());
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    inference::ModelMetadataResponse metadata;
    EXPECT_EQ(stub->ModelMetadata(NewContext().get(), {}, &metadata).error_code(),
              grpc::StatusCode::UNAVAILABLE);
  };
  EXPECT_TRUE(is_live());
  EXPECT_FALSE(is_ready());
  expect_unavailable("starting");
  service.Serve({});
  EXPECT_TRUE(is_ready());
  inference::ServerMetadataResponse metadata;
  ASSERT_TRUE(stub->ServerMetadata(NewContext().get(), {}, &metadata).ok());
  EXPECT_EQ(metadata.name(), "vitd");
  EXPECT_EQ(metadata.version(), "1.2.3");
  EXPECT_THAT(metadata.extensions(), Contains("classification"));
  service.RefuseNewWork();
  EXPECT_TRUE(is_live());
  EXPECT_FALSE(is_ready());
  expect_unavailable("shutting down");
}

TEST_F(OpenInferenceServiceTest, HealthKnowsTheService) {
  const auto health = grpc::health::v1::Health::NewStub(Connect(daemon().grpc_port()));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service("inference.GRPCInferenceService");
  grpc::health::v1::HealthCheckResponse response;
  ASSERT_TRUE(health->Check(NewContext().get(), request, &response).ok());
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_F(OpenInferenceServiceTest, AModelThatCanBeLoadedIsReady) {
  EXPECT_TRUE(IsReady("shapes"));
  EXPECT_TRUE(IsReady("shapes", "1"));
  EXPECT_TRUE(IsReady("run:first"));
  EXPECT_FALSE(IsReady("shapes", "2"));
  EXPECT_FALSE(IsReady("nothing"));
  inference::ModelReadyRequest request;
  request.set_name("no name");
  inference::ModelReadyResponse response;
  EXPECT_EQ(stub().ModelReady(NewContext().get(), request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(OpenInferenceServiceTest, MetadataHasTheBatchAndTheConfigurationDoesNot) {
  const inference::ModelMetadataResponse metadata = Metadata("shapes");
  EXPECT_EQ(metadata.name(), "shapes");
  EXPECT_THAT(metadata.versions(), ElementsAre("1"));
  std::map<std::string, std::vector<int64_t>> shapes, dims;
  for (const auto& tensors : {metadata.inputs(), metadata.outputs()}) {
    for (const auto& tensor : tensors) {
      shapes[tensor.name()] = {tensor.shape().begin(), tensor.shape().end()};
    }
  }
  EXPECT_THAT(shapes["IMAGE"], ElementsAre(-1, 1));
  EXPECT_THAT(shapes["INPUT"], ElementsAre(-1, 3, kSide, kSide));
  EXPECT_THAT(shapes["LABELS"], ElementsAre(-1));
  EXPECT_THAT(shapes["EMBEDDING"], ElementsAre(-1, 16));
  EXPECT_EQ(shapes["SCORES"].size(), 2u);

  inference::ModelConfigRequest request;
  request.set_name("shapes");
  inference::ModelConfigResponse response;
  ASSERT_TRUE(stub().ModelConfig(NewContext().get(), request, &response).ok());
  const inference::ModelConfig& config = response.config();
  EXPECT_EQ(config.max_batch_size(), 256);
  EXPECT_THAT(config.dynamic_batching().preferred_batch_size(), ElementsAre(32));
  for (const auto& input : config.input()) {
    EXPECT_TRUE(input.optional()) << "a request has one of them";
    dims[input.name()] = {input.dims().begin(), input.dims().end()};
  }
  for (const auto& output : config.output()) {
    dims[output.name()] = {output.dims().begin(), output.dims().end()};
  }
  for (auto& [name, shape] : shapes) shape.erase(shape.begin());
  EXPECT_EQ(dims, shapes);
}

TEST_F(OpenInferenceServiceTest, ModelsLoadAndUnload) {
  ASSERT_TRUE(Load("shapes").ok());
  inference::ModelInferRequest numbered = FilesRequest({File()});
  numbered.set_model_version("1");
  Answer(numbered);
  EXPECT_EQ(Index()["shapes@1"], "READY: ");
  ASSERT_TRUE(Unload("shapes").ok());
  EXPECT_EQ(Index()["shapes@1"], "UNAVAILABLE: not loaded; loads at the first request");
  EXPECT_FALSE(Index(/*ready=*/true).contains("shapes@1"));
  EXPECT_TRUE(IsReady("shapes"));
  const grpc::Status again = Unload("shapes");
  EXPECT_EQ(again.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(again.error_message(), HasSubstr("not in memory"));
  EXPECT_EQ(Load("nothing").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Unload("nothing").error_code(), grpc::StatusCode::NOT_FOUND);
  ASSERT_TRUE(Load("run:first").ok());
  EXPECT_THAT(absl::StrJoin(Index(/*ready=*/true), " ", absl::PairFormatter("=")),
              HasSubstr("run:" + run()));

  inference::RepositoryModelLoadRequest request;
  request.set_model_name("shapes");
  (*request.mutable_parameters())["config"].set_string_param("{}");
  inference::RepositoryModelLoadResponse response;
  EXPECT_EQ(stub().RepositoryModelLoad(NewContext().get(), request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(OpenInferenceServiceTest, StatisticsCountImagesOfEveryProtocolAndVersionName) {
  ASSERT_TRUE(Load("shapes").ok());
  ASSERT_TRUE(Unload("shapes").ok());
  EXPECT_EQ(Statistics("shapes").model_stats(0).inference_count(), 0u) << "forgotten";
  Answer(FilesRequest({File(0), File(1)}));
  inference::ModelInferRequest numbered = FilesRequest({File()});
  numbered.set_model_version("1");
  Answer(numbered);
  vit::v1::ClassifyResponse classified;
  ASSERT_TRUE(client().Classify({File()}, "shapes", &classified).ok());
  Refusal(FilesRequest({"no image"}));
  const inference::ModelStatisticsResponse statistics = Statistics("shapes");
  ASSERT_EQ(statistics.model_stats_size(), 1);
  const inference::ModelStatistics& stats = statistics.model_stats(0);
  EXPECT_EQ(stats.name(), "shapes");
  EXPECT_EQ(stats.version(), "1");
  EXPECT_EQ(stats.inference_count(), 4u);
  EXPECT_EQ(stats.inference_stats().success().count(), 4u);
  EXPECT_EQ(stats.inference_stats().fail().count(), 1u);
  EXPECT_EQ(stats.inference_stats().queue().count(), 4u);
  EXPECT_EQ(stats.inference_stats().compute_input().count(), 4u);
  EXPECT_GT(stats.inference_stats().compute_input().ns(), 0u);
  EXPECT_EQ(stats.inference_stats().compute_infer().count(), 4u);
  EXPECT_EQ(stats.inference_stats().compute_output().count(), 4u);
  EXPECT_GT(stats.inference_stats().compute_infer().ns(), 0u);
  EXPECT_GT(stats.last_inference(), 0u);
  uint64_t images = 0, batches = 0;
  for (const inference::InferBatchStatistics& batch : stats.batch_stats()) {
    images += batch.batch_size() * batch.compute_infer().count();
    batches += batch.compute_infer().count();
  }
  EXPECT_EQ(images, 4u);
  EXPECT_EQ(batches, stats.execution_count());
  EXPECT_GE(Statistics("").model_stats_size(), 1);
  inference::ModelStatisticsRequest request;
  request.set_name("nothing");
  inference::ModelStatisticsResponse response;
  EXPECT_EQ(stub().ModelStatistics(NewContext().get(), request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(OpenInferenceServiceTest, AStreamAnswersInOrderAndGoesOnAfterErrors) {
  constexpr int kRequests = 300;  // more than it reads ahead
  const auto context = NewContext();
  const std::unique_ptr<Stream> stream = stub().ModelStreamInfer(context.get());
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) {
      inference::ModelInferRequest request =
          i % 5 == 2 ? RawFilesRequest({"no image"}) : RawFilesRequest({File(i % 3)});
      if (i % 50 == 3) request.set_model_name("nothing");
      request.set_id(absl::StrCat(i));
      EXPECT_TRUE(stream->Write(request));
    }
    stream->WritesDone();
  });
  inference::ModelStreamInferResponse response;
  int read = 0;
  for (; stream->Read(&response); ++read) {
    EXPECT_EQ(response.infer_response().id(), absl::StrCat(read));
    if (read % 5 == 2) {
      EXPECT_THAT(response.error_message(),
                  AllOf(HasSubstr("INVALID_ARGUMENT: "), HasSubstr("element 0")));
    } else if (read % 50 == 3) {
      EXPECT_THAT(response.error_message(), HasSubstr("NOT_FOUND: "));
    } else {
      EXPECT_EQ(response.error_message(), "");
      EXPECT_EQ(Texts(response.infer_response(), "LABELS").size(), 1u);
    }
  }
  writer.join();
  EXPECT_EQ(read, kRequests);
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(OpenInferenceServiceTest, AnswersMatchUnaryOnesAndAreMarkedAsTheLastIfAskedFor) {
  inference::ModelInferRequest request = RawFilesRequest({File()});
  const inference::ModelInferResponse expected = Answer(request);
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  const auto context = NewContext();
  const std::unique_ptr<Stream> stream = stub().ModelStreamInfer(context.get());
  ASSERT_TRUE(stream->Write(request));
  inference::ModelStreamInferResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_TRUE(response.infer_response().parameters().at("triton_final_response").bool_param());
  response.mutable_infer_response()->clear_parameters();
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(response.infer_response(), expected));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(OpenInferenceServiceTest, CallsAndStreamsThatAreCancelledLeaveNothingBehind) {
  const std::vector<std::string> files(64, File());
  for (int i = 0; i < 20; ++i) {
    const auto context = NewContext();
    const std::unique_ptr<Stream> stream = stub().ModelStreamInfer(context.get());
    for (int k = 0; k < i; ++k) stream->Write(RawFilesRequest(files));
    context->TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
    const auto unary = NewContext();
    std::thread cancel([&] { unary->TryCancel(); });
    inference::ModelInferResponse response;
    const grpc::Status status = stub().ModelInfer(unary.get(), RawFilesRequest(files), &response);
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::CANCELLED);
    cancel.join();
  }
  // The suite's end waits for calls in flight.
  Answer(FilesRequest({File()}));
}

TEST(ModelStatisticsTest, KeepsTheNewestUnloadedVersionsWhileAnotherIsLoaded) {
  FakeClock clock;
  ModelStatistics statistics(&clock, /*kept_versions=*/1);
  const auto versions = [&] {
    std::vector<std::string> found;
    for (const auto& stats : statistics.Of(ModelRef::Model("pets")))
      found.push_back(stats.version());
    return found;
  };
  statistics.OnModelLoaded("pets", 1);
  statistics.OnModelLoaded("pets@1", 1);
  statistics.OnBatch("pets@1", 1, 8, absl::Milliseconds(2));
  statistics.OnBatch("pets", 1, 8, absl::Milliseconds(1));
  const auto all = statistics.All();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].inference_count(), 16u);
  EXPECT_EQ(all[0].execution_count(), 2u);
  EXPECT_EQ(all[0].inference_stats().compute_infer().ns(), 24'000'000u) << "of each image";
  EXPECT_EQ(all[0].batch_stats(0).compute_infer().ns(), 3'000'000u);
  EXPECT_EQ(all[0].last_inference(), static_cast<uint64_t>(absl::ToUnixMillis(clock.Now())));
  statistics.OnModelLoaded("pets", 2);
  statistics.OnModelUnloaded("pets", 1);
  statistics.OnModelLoaded("pets", 3);
  statistics.OnModelUnloaded("pets", 2);
  EXPECT_THAT(versions(), ElementsAre("1", "2", "3")) << "1 is still loaded by its number";
  statistics.OnModelUnloaded("pets@1", 1);
  EXPECT_THAT(versions(), ElementsAre("1", "3"));
  EXPECT_EQ(statistics.Of(ModelRef::Model("pets", 3)).size(), 1u);
  statistics.OnModelUnloaded("pets", 3);
  EXPECT_TRUE(statistics.All().empty());
  statistics.OnBatch("pets", 3, 1, absl::Milliseconds(1));
  EXPECT_TRUE(statistics.All().empty());
}

}  // namespace
}  // namespace vit
