// Publishing, importing and serving models through a whole daemon.
#include "server/services/model_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "server/daemon.h"
#include "tests/core/data/testing.h"
#include "tests/server/loopback_config.h"
#include "tests/server/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ModelServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_.path() / "weights");
    config_.data_roots = {(folder_.path() / "weights").string()};
    Start();
  }
  void Start() {
    auto daemon = Daemon::Create(config_, &logger_);
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    client_ = std::make_unique<Client>(daemon_->grpc_port());
  }
  void Restart() {
    daemon_->Shutdown(absl::Now() + absl::Seconds(60));
    daemon_.reset();
    Start();
  }

  grpc::Status Publish(const std::string& run, const std::string& name,
                       vit::v1::ModelVersion* model = nullptr,
                       v1::PrecisionChoice precision = v1::PRECISION_CHOICE_UNSPECIFIED) {
    vit::v1::PublishRunRequest request;
    request.set_run(run);
    request.set_name(name);
    request.set_precision(precision);
    vit::v1::PublishRunResponse response;
    const grpc::Status status =
        client_->models().PublishRun(NewContext().get(), request, &response);
    if (model != nullptr) *model = response.model();
    return status;
  }
  grpc::Status Import(const std::string& path, vit::v1::ImportModelResponse* response) {
    vit::v1::ImportModelRequest request;
    request.set_path(path);
    request.set_name("imported");
    return client_->models().ImportModel(NewContext().get(), request, response);
  }
  // Puts the answer's files into `directory`.
  grpc::Status Export(const std::string& model, vit::v1::ExportFormat format,
                      const fs::path& directory, vit::v1::ModelIdentity* identity = nullptr) {
    vit::v1::ExportModelRequest request;
    request.set_model(model);
    request.set_format(format);
    const auto context = NewContext();
    const auto reader = client_->models().ExportModel(context.get(), request);
    fs::create_directories(directory);
    for (vit::v1::ExportModelResponse piece; reader->Read(&piece);) {
      if (piece.has_model() && identity != nullptr) *identity = piece.model();
      std::ofstream(directory / piece.file(), std::ios::binary | std::ios::app) << piece.data();
    }
    return reader->Finish();
  }
  vit::v1::ListModelsResponse List(const std::string& model = "") {
    vit::v1::ListModelsRequest request;
    request.set_model(model);
    vit::v1::ListModelsResponse response;
    const grpc::Status status =
        client_->models().ListModels(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // The first image's best class, and the model that answered.
  vit::v1::ClassifyResponse Classify(const std::string& model) {
    vit::v1::ClassifyResponse response;
    const grpc::Status status =
        client_->Classify({Encode(SmoothImage(40, 30), ".png")}, model, &response);
    EXPECT_TRUE(status.ok()) << model << ": " << status.error_message();
    return response;
  }

  TemporaryFolder folder_;
  ServerConfig config_ = LoopbackConfig(folder_.path());
  Logger logger_{LogFormat::kText, LogLevel::kError};
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> client_;
};

TEST_F(ModelServiceTest, AVersionAnswersInItsPrecision) {
  vit::v1::TrainingSpec spec = TinySpec(16);
  spec.set_precision(v1::PRECISION_FLOAT32);
  const std::string run = client_->Start(spec).id();
  client_->AwaitEnd(run);
  ASSERT_TRUE(Publish(run, "as_evaluated").ok());
  ASSERT_TRUE(Publish(run, "rounded", nullptr, v1::PRECISION_CHOICE_BFLOAT16).ok());
  ASSERT_TRUE(Publish(run, "exact", nullptr, v1::PRECISION_CHOICE_FLOAT32).ok());
  const auto answer = [&](const std::string& model) { return Classify(model).results(0); };
  const auto expected = answer("run:" + run), rounded = answer("rounded");
  EXPECT_EQ(answer("as_evaluated").SerializeAsString(), expected.SerializeAsString());
  EXPECT_EQ(answer("exact").SerializeAsString(), expected.SerializeAsString());
  EXPECT_NE(rounded.SerializeAsString(), expected.SerializeAsString());
  EXPECT_NEAR(rounded.classes(0).probability(), expected.classes(0).probability(), 0.01);
}

TEST_F(ModelServiceTest, APublishedRunAnswersAsTheRunDoesAndOutlivesIt) {
  const std::string run = client_->Start(TinySpec(16)).id();
  client_->AwaitEnd(run);
  vit::v1::ModelVersion model;
  const grpc::Status published = Publish(run, "pets", &model);
  ASSERT_TRUE(published.ok()) << published.error_message();
  EXPECT_EQ(model.version(), 1);
  EXPECT_TRUE(model.has_accuracy());
  const vit::v1::ClassifyResponse by_run = Classify("run:" + run);
  const vit::v1::ClassifyResponse by_name = Classify("pets");
  EXPECT_EQ(by_name.model().model(), "pets");
  EXPECT_EQ(by_name.model().version(), 1);
  EXPECT_EQ(by_name.model().run(), run);
  ASSERT_EQ(by_name.results_size(), 1);
  EXPECT_EQ(by_name.results(0).SerializeAsString(), by_run.results(0).SerializeAsString());
  EXPECT_TRUE(List().models(0).loaded());

  vit::v1::DeleteRunRequest remove;
  remove.set_run(run);
  vit::v1::DeleteRunResponse removed;
  ASSERT_TRUE(client_->training().DeleteRun(NewContext().get(), remove, &removed).ok());
  Restart();
  EXPECT_EQ(Classify("pets@1").results(0).SerializeAsString(),
            by_run.results(0).SerializeAsString());
}

TEST_F(ModelServiceTest, AModelOfAnySizeIsEvaluatedAndServedInAnotherThanItTrainedIn) {
  vit::v1::TrainingSpec spec = TinySpec(8);
  spec.mutable_model()->set_dynamic_image_size(true);
  spec.mutable_data()->mutable_eval()->set_image_size(2 * spec.model().image_size());
  const std::string run = client_->Start(spec).id();
  EXPECT_EQ(client_->AwaitEnd(run).state(), vit::v1::RUN_STATE_SUCCEEDED);
  vit::v1::ExplainRequest request;
  request.set_model("run:" + run);
  request.set_image(Encode(SmoothImage(40, 30), ".png"));
  vit::v1::ExplainResponse response;
  const grpc::Status status = client_->inference().Explain(NewContext().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.rows(), 2 * spec.model().image_size() / spec.model().patch_size());
  EXPECT_EQ(response.relevance_size(), response.rows() * response.columns());
}

TEST_F(ModelServiceTest, ANewVersionTakesOverAndTheOldOneStaysByItsNumber) {
  const std::string first = client_->Start(TinySpec(8)).id();
  client_->AwaitEnd(first);
  ASSERT_TRUE(Publish(first, "pets").ok());
  EXPECT_EQ(Classify("pets").model().version(), 1);
  ASSERT_TRUE(Publish(first, "pets").ok());
  // The old version answers until the new one is in memory.
  while (Classify("pets").model().version() == 1) {
  }
  EXPECT_EQ(Classify("pets@1").model().version(), 1);
  EXPECT_EQ(List().models_size(), 2);
  EXPECT_EQ(List("pets@1").models(0).labels_size(), 10);

  vit::v1::RemoveModelRequest remove;
  remove.set_model("pets@2");
  vit::v1::RemoveModelResponse removed;
  ASSERT_TRUE(client_->models().RemoveModel(NewContext().get(), remove, &removed).ok());
  EXPECT_EQ(removed.versions(), 1);
  EXPECT_EQ(Classify("pets").model().version(), 1);
}

TEST_F(ModelServiceTest, ARunStartsFromAModelOfTheRepository) {
  const std::string run = client_->Start(TinySpec(8)).id();
  client_->AwaitEnd(run);
  ASSERT_TRUE(Publish(run, "pets").ok());
  vit::v1::TrainingSpec spec = TinySpec(8);
  spec.set_init("model:pets");
  const std::string second = client_->Start(spec).id();
  client_->AwaitEnd(second);
  const vit::v1::StatusResponse status = client_->Status(second);
  EXPECT_EQ(status.run().state(), vit::v1::RUN_STATE_SUCCEEDED) << status.run().message();
  EXPECT_EQ(status.spec().init(), "model:pets@1");

  spec.set_init("model:dogs");
  vit::v1::StartTrainingRequest request;
  *request.mutable_spec() = spec;
  vit::v1::StartTrainingResponse response;
  const grpc::Status refused =
      client_->training().StartTraining(NewContext().get(), request, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(refused.error_message(), HasSubstr("init model:dogs: no model 'dogs'"));
}

TEST_F(ModelServiceTest, WeightsAreImportedFromUnderTheDataRootsAlone) {
  const fs::path weights = folder_.path() / "weights";
  fs::copy(fs::path(VIT_SOURCE_DIR) / "tests/data/parity/transformers", weights / "hf");
  vit::v1::ImportModelResponse response;
  const grpc::Status status = Import((weights / "hf").string(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model().source(), "Hugging Face");
  EXPECT_EQ(Classify("imported").model().run(), "");

  EXPECT_EQ(Import("/etc/hostname", &response).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Import((weights / "none").string(), &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  fs::create_symlink("/etc/hostname", weights / "hf/labels.txt");
  const grpc::Status link = Import((weights / "hf").string(), &response);
  EXPECT_EQ(link.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(link.error_message(), HasSubstr("leads out of its folder"));
}

// huggingface_hub keeps what it downloads as links from snapshots to blobs.
TEST_F(ModelServiceTest, LinksWithinTheDataRootsAreFollowed) {
  const fs::path weights = folder_.path() / "weights";
  fs::copy(fs::path(VIT_SOURCE_DIR) / "tests/data/parity/transformers", weights / "blobs");
  fs::create_directories(weights / "snapshots/abc");
  for (const char* file : {"model.safetensors", "config.json"}) {
    fs::create_symlink(fs::path("../../blobs") / file, weights / "snapshots/abc" / file);
  }
  vit::v1::ImportModelResponse response;
  grpc::Status status = Import((weights / "snapshots/abc").string(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model().model().num_heads(), 4);
  EXPECT_EQ(response.model().origin(), (weights / "snapshots/abc").string());

  fs::copy(fs::path(VIT_SOURCE_DIR) / "tests/data/parity/timm_cls/model.safetensors",
           folder_.path() / "outside.safetensors");
  fs::remove(weights / "snapshots/abc/model.safetensors");
  fs::create_symlink(folder_.path() / "outside.safetensors",
                     weights / "snapshots/abc/model.safetensors");
  status = Import((weights / "snapshots/abc").string(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(ModelServiceTest, AnEncoderWithoutAHeadEmbedsAndDoesNotClassify) {
  const fs::path parity = fs::path(VIT_SOURCE_DIR) / "tests/data/parity/transformers";
  const fs::path encoder = folder_.path() / "weights/encoder";
  fs::create_directories(encoder);
  fs::copy(parity / "config.json", encoder / "config.json");
  std::string weights = *ReadFile(parity / "model.safetensors", 1 << 30);
  for (size_t at = 0; (at = weights.find("classifier.", at)) != std::string::npos;) {
    weights.replace(at, 11, "decoder_10.");  // not needed for an answer
    ASSERT_TRUE(WriteFile(encoder / "model.safetensors", weights).ok());
  }
  vit::v1::ImportModelResponse response;
  const grpc::Status imported = Import(encoder.string(), &response);
  ASSERT_TRUE(imported.ok()) << imported.error_message();
  EXPECT_EQ(response.model().model().num_classes(), 0);

  vit::v1::EmbedRequest embed;
  embed.add_images(Encode(SmoothImage(40, 30), ".png"));
  embed.set_model("imported");
  vit::v1::EmbedResponse features;
  const grpc::Status embedded = client_->inference().Embed(NewContext().get(), embed, &features);
  ASSERT_TRUE(embedded.ok()) << embedded.error_message();
  EXPECT_EQ(features.results(0).values_size(), response.model().model().embed_dim());

  vit::v1::ClassifyResponse classes;
  const grpc::Status refused =
      client_->Classify({Encode(SmoothImage(40, 30), ".png")}, "imported", &classes);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(), HasSubstr("an encoder without a head"));
}

TEST_F(ModelServiceTest, LoadingAndUnloadingSayWhatIsThere) {
  const std::string run = client_->Start(TinySpec(8)).id();
  client_->AwaitEnd(run);
  ASSERT_TRUE(Publish(run, "pets").ok());
  EXPECT_FALSE(List().models(0).loaded());
  vit::v1::UnloadModelRequest unload;
  unload.set_model("pets");
  vit::v1::UnloadModelResponse unloaded;
  EXPECT_EQ(client_->models().UnloadModel(NewContext().get(), unload, &unloaded).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  vit::v1::LoadModelRequest load;
  load.set_model("pets");
  vit::v1::LoadModelResponse loaded;
  EXPECT_TRUE(client_->models().LoadModel(NewContext().get(), load, &loaded).ok());
  EXPECT_TRUE(List().models(0).loaded());
  EXPECT_TRUE(client_->models().UnloadModel(NewContext().get(), unload, &unloaded).ok());
  EXPECT_FALSE(List().models(0).loaded());
}

TEST_F(ModelServiceTest, AnExportedModelComesBackByteForByte) {
  const std::string run = client_->Start(TinySpec(8)).id();
  client_->AwaitEnd(run);
  vit::v1::ModelVersion published;
  ASSERT_TRUE(Publish(run, "pets", &published).ok());
  const fs::path weights = folder_.path() / "weights", stored = folder_.path() / "state/models";
  // What follows the header, which also holds a checkpoint's step.
  const auto values = [](const fs::path& path) {
    const std::string file = *ReadFile(path, 1 << 24);
    uint64_t header = 0;
    memcpy(&header, file.data(), sizeof(header));
    return file.substr(sizeof(header) + header);
  };
  vit::v1::ModelIdentity identity;
  const grpc::Status exported =
      Export("pets", vit::v1::EXPORT_FORMAT_TIMM, weights / "timm", &identity);
  ASSERT_TRUE(exported.ok()) << exported.error_message();
  EXPECT_EQ(identity.version(), 1);
  EXPECT_EQ(identity.run(), run);
  EXPECT_TRUE(values(weights / "timm/model.safetensors") ==
              values(stored / "pets/1/model.safetensors"));
  const auto config = nlohmann::json::parse(*ReadFile(weights / "timm/config.json", 1 << 20));
  EXPECT_EQ(config["exported_from"]["origin"], published.origin());
  EXPECT_EQ(config["exported_from"]["model"], "pets");
  EXPECT_TRUE(config["exported_from"].contains("accuracy"));

  int version = 0;
  for (const auto format : {vit::v1::EXPORT_FORMAT_TIMM, vit::v1::EXPORT_FORMAT_HUGGING_FACE,
                            vit::v1::EXPORT_FORMAT_TORCHVISION}) {
    const fs::path directory = weights / absl::StrCat("format", format);
    ASSERT_TRUE(Export("run:" + run, format, directory).ok());
    vit::v1::ImportModelResponse imported;
    const grpc::Status status = Import(directory.string(), &imported);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(values(stored / absl::StrCat("imported/", ++version, "/model.safetensors")) ==
                values(stored / "pets/1/model.safetensors"))
        << format;
    EXPECT_EQ(Classify(absl::StrCat("imported@", version)).results(0).SerializeAsString(),
              Classify("pets").results(0).SerializeAsString());
  }
  EXPECT_TRUE(fs::is_empty(folder_.path() / "state/exports"));
}

TEST_F(ModelServiceTest, WhatCannotBeExportedIsSaid) {
  EXPECT_EQ(Export("none", vit::v1::EXPORT_FORMAT_ONNX, folder_.path() / "out").error_code(),
            grpc::StatusCode::NOT_FOUND);
  const fs::path weights = folder_.path() / "weights";
  fs::copy(fs::path(VIT_SOURCE_DIR) / "tests/data/parity/batch_norm", weights / "batch_norm");
  vit::v1::ImportModelRequest request;
  request.set_path((weights / "batch_norm").string());
  request.set_name("imported");
  request.mutable_model()->set_num_heads(4);
  vit::v1::ImportModelResponse response;
  const grpc::Status imported =
      client_->models().ImportModel(NewContext().get(), request, &response);
  ASSERT_TRUE(imported.ok()) << imported.error_message();
  const grpc::Status timm = Export("imported", vit::v1::EXPORT_FORMAT_TIMM, folder_.path() / "out");
  EXPECT_EQ(timm.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(timm.error_message(),
              HasSubstr("which timm does not have; the onnx format holds every"));
  EXPECT_EQ(
      Export("imported", vit::v1::EXPORT_FORMAT_UNSPECIFIED, folder_.path() / "out").error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(fs::is_empty(folder_.path() / "out"));
  EXPECT_TRUE(Export("imported", vit::v1::EXPORT_FORMAT_ONNX, folder_.path() / "onnx").ok());
  EXPECT_TRUE(fs::exists(folder_.path() / "onnx/model.onnx"));
  EXPECT_TRUE(fs::is_empty(folder_.path() / "state/exports"));
}

TEST_F(ModelServiceTest, WhatCannotBePublishedIsSaid) {
  EXPECT_EQ(Publish("none", "pets").error_code(), grpc::StatusCode::NOT_FOUND);
  const std::string run = client_->Start(TinySpec(8)).id();
  client_->AwaitEnd(run);
  const grpc::Status name = Publish(run, "my pets");
  EXPECT_EQ(name.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(name.error_message(), HasSubstr("model name 'my pets'"));
}

}  // namespace
}  // namespace vit
