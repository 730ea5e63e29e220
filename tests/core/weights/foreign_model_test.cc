#include "core/weights/export/foreign_model.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <ostream>

#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/tensor_file.h"
#include "core/weights/export/expressible.h"
#include "core/weights/import_model.h"
#include "core/weights/write_model.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kParity = fs::path(VIT_SOURCE_DIR) / "tests/data/parity";

// Which parity file, and how many heads it has.
struct Source {
  const char* file;
  int num_heads;
};
const Source kTransformers = {"transformers/model.safetensors", 4};
const Source kTorchvision = {"torchvision/model.pth", 4};
const Source kTimm = {"timm_cls/model.safetensors", 4};
const Source kDistilled = {"deit_distilled/model.safetensors", 4};

void ExpectSame(const TensorMap& actual, const TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(actual.contains(name)) << name;
    EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
  }
}

class ForeignModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // With labels and preprocessing that no default equals.
  static ImportedModel Import(const Source& source) {
    ImportOptions options;
    options.model.set_num_heads(source.num_heads);
    auto& data = options.preprocessing;
    for (const double value : {0.25, 0.5, 0.75}) {
      data.add_mean(value);
      data.add_std(value / 2);
    }
    data.set_interpolation(vit::v1::INTERPOLATION_BILINEAR);
    data.mutable_eval()->set_crop_pct(0.8);
    data.mutable_eval()->set_crop_mode(vit::v1::CROP_MODE_CENTER);
    for (int i = 0; i < 10; ++i) options.labels.push_back("class \"" + std::to_string(i) + "\"");
    absl::StatusOr<ImportedModel> model = ImportModel(kParity / source.file, options);
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? *std::move(model) : ImportedModel();
  }

  // Imports the directory without options, and expects `model`.
  void ExpectComesBack(const ImportedModel& model) {
    const absl::StatusOr<ImportedModel> back = ImportModel(directory_, {});
    ASSERT_TRUE(back.ok()) << back.status();
    ExpectSame(back->tensors, model.tensors);
    vit::v1::ModelConfig expected = model.description.model, actual = back->description.model;
    EXPECT_LE(actual.layer_norm_eps(), 1e-6);
    actual.set_layer_norm_eps(expected.layer_norm_eps());
    EXPECT_EQ(actual.DebugString(), expected.DebugString());
    EXPECT_EQ(back->description.labels, model.description.labels);
    const auto& data = back->description.preprocessing;
    const auto& wanted = model.description.preprocessing;
    EXPECT_THAT(data.mean(), ::testing::ElementsAreArray(wanted.mean()));
    EXPECT_THAT(data.std(), ::testing::ElementsAreArray(wanted.std()));
    EXPECT_EQ(data.interpolation(), wanted.interpolation());
    EXPECT_NEAR(data.eval().crop_pct(), wanted.eval().crop_pct(), 0.02);  // in whole pixels
    EXPECT_EQ(data.eval().crop_mode(), wanted.eval().crop_mode());
  }

  nlohmann::json Config() {
    return nlohmann::json::parse(*ReadFile(directory_ / "config.json", 1 << 20));
  }

  fs::path directory_;
};

TEST_F(ForeignModelTest, HuggingFacesOwnWeightsGoBackUnderTheirNames) {
  const ImportedModel model = Import(kTransformers);
  ASSERT_TRUE(
      WriteHuggingFace(directory_, model.tensors, model.description, {{"origin", "run:a@7"}}).ok());
  TensorMap own = ReadTensorFile(kParity / kTransformers.file)->tensors;
  ExpectSame(ReadTensorFile(directory_ / "model.safetensors")->tensors, own);
  EXPECT_EQ(Config()["model_type"], "vit");
  EXPECT_EQ(Config()["id2label"]["3"], "class \"3\"");
  EXPECT_EQ(Config()["exported_from"]["origin"], "run:a@7");
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, TorchvisionsOwnWeightsGoBackUnderTheirNames) {
  const ImportedModel model = Import(kTorchvision);
  ASSERT_TRUE(
      WriteTorchvision(directory_, model.tensors, model.description, {{"model", "pets"}}).ok());
  ExpectSame(ReadTensorFile(directory_ / "model.pth")->tensors,
             ReadTensorFile(kParity / kTorchvision.file)->tensors);
  EXPECT_EQ(Config()["exported_from"]["model"], "pets");
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, TimmsWeightsComeBackFromEveryProgram) {
  const ImportedModel model = Import(kTimm);
  ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
  ExpectComesBack(model);
  fs::remove_all(directory_);
  fs::create_directories(directory_);
  ASSERT_TRUE(WriteTorchvision(directory_, model.tensors, model.description, {}).ok());
  ExpectComesBack(model);
  fs::remove_all(directory_);
  fs::create_directories(directory_);
  ASSERT_TRUE(WriteModel(directory_, model.tensors, model.description).ok());
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, ADistilledModelIsHuggingFacesDeit) {
  const ImportedModel model = Import(kDistilled);
  ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
  EXPECT_EQ(Config()["architectures"][0], "DeiTForImageClassificationWithTeacher");
  const TensorMap written = ReadTensorFile(directory_ / "model.safetensors")->tensors;
  EXPECT_TRUE(written.contains("cls_classifier.weight"));
  EXPECT_TRUE(written.contains("distillation_classifier.bias"));
  EXPECT_TRUE(written.contains("deit.embeddings.distillation_token"));
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, ActivationsComeBackFromEveryProgramThatHasThem) {
  for (const auto activation : {vit::v1::ACTIVATION_GELU_TANH, vit::v1::ACTIVATION_QUICK_GELU}) {
    ImportedModel model = Import(kTimm);
    model.description.model.set_activation(activation);
    ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
    ExpectComesBack(model);
    EXPECT_EQ(WriteTorchvision(directory_, model.tensors, model.description, {}).code(),
              absl::StatusCode::kFailedPrecondition);
    ASSERT_TRUE(WriteModel(directory_, model.tensors, model.description).ok());
    EXPECT_NE(Config()["model_args"]["act_layer"], nullptr);
    ExpectComesBack(model);
    // As in timm's own file.
    nlohmann::json config = Config();
    config.erase("vitd");
    ASSERT_TRUE(WriteFile(directory_ / "config.json", config.dump()).ok());
    EXPECT_EQ(ImportModel(directory_, {})->description.model.activation(), activation);
  }
}

// A model of random weights, with what else makes an export complete.
ImportedModel RandomModel(const std::string& config) {
  ImportedModel model;
  vit::v1::ModelConfig& m = model.description.model;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "image_size: 32 patch_size: 8 embed_dim: 32 depth: 2 num_heads: 4 " + config, &m));
  FillModelDefaults(3, &m);
  EXPECT_TRUE(ValidateModelConfig(m).ok()) << ValidateModelConfig(m);
  VisionTransformer module(m);
  module->Initialize(3);
  for (const auto& [name, tensor] : StateDict(*module)) model.tensors[name] = tensor.detach();
  for (int i = 0; i < 3; ++i) {
    model.description.preprocessing.add_mean(0.5);
    model.description.preprocessing.add_std(0.25);
  }
  model.description.preprocessing.set_interpolation(vit::v1::INTERPOLATION_BICUBIC);
  model.description.preprocessing.mutable_eval()->set_crop_pct(1);
  model.description.preprocessing.mutable_eval()->set_crop_mode(vit::v1::CROP_MODE_CENTER);
  model.description.labels = {"cat", "dog", "owl"};
  return model;
}

TEST_F(ForeignModelTest, TokenAndMeanIsHuggingFacesDinov2) {
  const ImportedModel model =
      RandomModel("global_pool: GLOBAL_POOL_TOKEN_AND_AVG init_values: 1e-5");
  ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
  EXPECT_EQ(Config()["architectures"][0], "Dinov2ForImageClassification");
  const TensorMap written = ReadTensorFile(directory_ / "model.safetensors")->tensors;
  EXPECT_TRUE(written.contains("dinov2.encoder.layer.0.norm1.weight"));
  EXPECT_TRUE(written.contains("dinov2.encoder.layer.1.layer_scale2.lambda1"));
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, TokenAndMeanWithRegistersIsHuggingFacesDinov2WithRegisters) {
  const ImportedModel model = RandomModel(
      "global_pool: GLOBAL_POOL_TOKEN_AND_AVG init_values: 1e-5 reg_tokens: 4 no_embed_class: "
      "true");
  ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
  EXPECT_EQ(Config()["num_register_tokens"], 4);
  EXPECT_EQ(ReadTensorFile(directory_ / "model.safetensors")
                ->tensors.at("dinov2_with_registers.embeddings.position_embeddings")
                .size(1),
            17);
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, ARegisterWithAPositionIsHuggingFacesDeitWithOneHead) {
  const ImportedModel model = RandomModel("reg_tokens: 1");
  ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
  EXPECT_EQ(Config()["architectures"][0], "DeiTForImageClassification");
  EXPECT_TRUE(ReadTensorFile(directory_ / "model.safetensors")
                  ->tensors.contains("deit.embeddings.distillation_token"));
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, SquashingIsKept) {
  ImportedModel model = Import(kTransformers);
  auto* eval = model.description.preprocessing.mutable_eval();
  eval->set_crop_mode(vit::v1::CROP_MODE_SQUASH);
  eval->set_crop_pct(1);
  ASSERT_TRUE(WriteHuggingFace(directory_, model.tensors, model.description, {}).ok());
  ExpectComesBack(model);
}

TEST_F(ForeignModelTest, WhatAProgramHasNotIsNamed) {
  constexpr Program kAll[] = {Program::kTimm, Program::kHuggingFace, Program::kTorchvision};
  const struct {
    const char* model;
    const char* named;
    std::vector<Program> known;
  } cases[] = {
      {"", "", {Program::kTimm, Program::kHuggingFace, Program::kTorchvision}},
      {"shared_norm: true", "model.shared_norm", {}},
      {"patch_norm: true", "model.patch_norm", {}},
      {"norm_layer: NORM_LAYER_BATCH_NORM", "model.norm_layer", {}},
      {"attn_proj: false", "model.attn_proj", {}},
      {"scale_by_embed_dim: true", "model.scale_by_embed_dim", {}},
      {"global_pool: GLOBAL_POOL_FLATTEN", "model.global_pool", {}},
      {"global_pool: GLOBAL_POOL_AVG", "model.global_pool", {Program::kTimm}},
      {"class_token: false global_pool: GLOBAL_POOL_MAX", "model.global_pool", {Program::kTimm}},
      {"reg_tokens: 4", "model.reg_tokens", {Program::kTimm}},
      {"reg_tokens: 4 distillation_token: true", "model.", {}},
      {"distillation_token: true",
       "model.distillation_token",
       {Program::kTimm, Program::kHuggingFace}},
      {"no_embed_class: true", "model.no_embed_class", {Program::kTimm}},
      {"pre_norm: true", "model.pre_norm", {Program::kTimm}},
      {"qk_norm: true", "model.qk_norm", {Program::kTimm}},
      {"init_values: 1", "model.init_values", {Program::kTimm}},
      {"fc_norm: true", "model.fc_norm", {Program::kTimm}},
      {"final_norm: false", "model.final_norm", {Program::kTimm}},
      {"proj_bias: false", "model.proj_bias", {Program::kTimm}},
      {"qkv_bias: false", "model.qkv_bias", {Program::kTimm, Program::kHuggingFace}},
      {"pos_embed: POSITION_EMBEDDING_NONE", "model.pos_embed", {Program::kTimm}},
      {"patch_width: 8", "model.patch_width", {Program::kTimm}},
      {"representation_size: 64", "model.representation_size", {Program::kTorchvision}},
      {"representation_size: 64 representation_activation: REPRESENTATION_ACTIVATION_GELU",
       "model.representation_size",
       {}},
      {"layer_norm_eps: 1e-5", "model.layer_norm_eps", {Program::kTimm, Program::kHuggingFace}},
      {"layer_norm_eps: 1e-4", "model.layer_norm_eps", {Program::kHuggingFace}},
      {"activation: ACTIVATION_GELU_TANH",
       "model.activation",
       {Program::kTimm, Program::kHuggingFace}},
      {"activation: ACTIVATION_QUICK_GELU",
       "model.activation",
       {Program::kTimm, Program::kHuggingFace}},
      {"num_classes: 0", "model.num_classes=0", {Program::kTimm}},
      {"reg_tokens: 1", "model.reg_tokens", {Program::kTimm, Program::kHuggingFace}},
      {"reg_tokens: 1 no_embed_class: true", "model.reg_tokens", {Program::kTimm}},
      {"global_pool: GLOBAL_POOL_TOKEN_AND_AVG init_values: 1",
       "model.global_pool=token_and_avg",
       {Program::kHuggingFace}},
      {"global_pool: GLOBAL_POOL_TOKEN_AND_AVG", "model.", {}},
      {"global_pool: GLOBAL_POOL_TOKEN_AND_AVG init_values: 1 reg_tokens: 4", "model.", {}},
  };
  for (const auto& c : cases) {
    vit::v1::ModelConfig config;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(c.model, &config));
    FillModelDefaults(10, &config);
    for (const Program program : kAll) {
      const absl::Status status = CheckExpressible(config, program);
      if (std::find(c.known.begin(), c.known.end(), program) != c.known.end()) {
        EXPECT_TRUE(status.ok()) << c.model << ": " << status;
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << c.model;
        EXPECT_THAT(std::string(status.message()), HasSubstr(c.named));
      }
    }
  }
}

}  // namespace
}  // namespace vit
