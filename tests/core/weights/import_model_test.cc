// Whole files and folders of other programs, as models of ours: what is taken, what is refused.
#include "core/weights/import_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/layouts/foreign_parts.h"
#include "core/weights/load_weights.h"
#include "core/weights/pretrained_config.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const fs::path kParity = fs::path(VIT_SOURCE_DIR) / "tests/data/parity";

TensorMap TimmWeightsOfParity() {
  const auto read = ReadSafetensors(kParity / "timm_cls/model.safetensors");
  EXPECT_TRUE(read.ok()) << read.status();
  TensorMap tensors;
  for (const auto& [name, tensor] : read->tensors) tensors[name] = tensor.clone();
  return tensors;
}

class ImportModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.model.set_num_heads(4);
    tensors_ = TimmWeightsOfParity();
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Write(const std::string& file, const TensorMap& tensors) {
    const NamedTensors all(tensors.begin(), tensors.end());
    ASSERT_TRUE(WriteSafetensors(folder_ / file, all, {}).ok());
  }
  void WriteText(const std::string& file, const std::string& text) {
    std::ofstream(folder_ / file) << text;
  }
  absl::StatusOr<ImportedModel> Import(const TensorMap& tensors) {
    Write("model.safetensors", tensors);
    return ImportModel(folder_ / "model.safetensors", options_);
  }
  absl::StatusOr<ImportedModel> ImportFolder() { return ImportModel(folder_, options_); }
  std::string Refusal(const TensorMap& tensors) {
    const auto model = Import(tensors);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument) << model.status();
    return std::string(model.status().message());
  }
  // Adds another tensor to the model's own.
  std::string RefusalWith(const std::string& name) {
    TensorMap tensors = tensors_;
    tensors[name] = at::ones({4});
    return Refusal(tensors);
  }
  std::string ConfigRefusal(const std::string& json) {
    WriteText("config.json", json);
    const auto model = ImportFolder();
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument) << model.status();
    return std::string(model.status().message());
  }

  fs::path folder_;
  ImportOptions options_;
  TensorMap tensors_;
};

TEST_F(ImportModelTest, PartsOfOtherFormulasAreRefusedByName) {
  ASSERT_TRUE(Import(tensors_).ok());
  const std::pair<const char*, const char*> parts[] = {
      {"blocks.0.attn.relative_position_bias_table", "relative position bias"},
      {"rel_pos_bias.relative_position_bias_table", "relative position bias"},
      {"blocks.1.attn.q_bias", "separate biases of query and value"},
      {"rope.periods", "rotary position embedding"},
      {"blocks.0.mlp.w12.weight", "SwiGLU"},
      {"blocks.0.mlp.fc1_g.weight", "SwiGLU"},
      {"attn_pool.latent", "attention pooling"},
      {"blocks.0.attn.norm.weight", "a norm inside its attention"},
      {"blocks.0.mlp.norm.weight", "a norm inside its MLPs"},
      {"blocks.0.norm3.weight", "post-norm"},
      {"blocks.0.in_proj.weight", "attention and MLP in parallel"},
      {"blocks.0.attns.0.qkv.weight", "several attentions in parallel"},
      {"blocks.0.attn.lambda_q1", "differential attention"},
      {"norm_post.weight", "further norms"},
      {"patch_embed.backbone.stem.weight", "hybrid"},
      {"pooler.dense.weight", "a pooling layer"},
      {"blocks.0.something.else", "a part of another kind"},
  };
  for (const auto& [name, what] : parts) {
    EXPECT_THAT(RefusalWith(name), AllOf(HasSubstr(name), HasSubstr(what)));
  }
}

TEST_F(ImportModelTest, WhatPlaysNoPartIsNamedAndNotUsed) {
  for (const char* name : {"mask_token", "decoder_blocks.0.attn.qkv.weight", "decoder_embed.weight",
                           "dino_head.last_layer.weight", "num_updates"}) {
    TensorMap tensors = tensors_;
    tensors[name] = at::ones({4});
    const auto model = Import(tensors);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_FALSE(model->tensors.contains(name));
    EXPECT_THAT(model->notes, Contains(absl::StrCat("not used: ", name)));
  }
}

TEST_F(ImportModelTest, NormsWithoutBiasAreRefused) {
  for (auto it = tensors_.begin(); it != tensors_.end();) {
    it = it->first.ends_with("norm1.bias") ? tensors_.erase(it) : std::next(it);
  }
  EXPECT_THAT(Refusal(tensors_), HasSubstr("RMSNorm"));
}

TEST_F(ImportModelTest, ValuesThatAreNotFiniteAreRefusedByName) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    TensorMap tensors = tensors_;
    at::Tensor weight = tensors.at("blocks.1.mlp.fc1.weight").clone();
    weight.view(-1)[7].fill_(bad);
    tensors["blocks.1.mlp.fc1.weight"] = weight;
    EXPECT_THAT(Refusal(tensors), AllOf(HasSubstr("'blocks.1.mlp.fc1.weight'"),
                                        HasSubstr("NaN or infinite values (1 of ")));
  }
  // Large ones are finite.
  tensors_["blocks.1.mlp.fc1.weight"] =
      at::full_like(tensors_.at("blocks.1.mlp.fc1.weight"), 3e38f);
  EXPECT_TRUE(Import(tensors_).ok());
}

TEST_F(ImportModelTest, AHeadOfAnotherLayoutIsNamed) {
  const at::Tensor weight = tensors_.at("head.weight");
  tensors_.erase("head.weight");
  tensors_.erase("head.bias");
  for (const char* name : {"head.1.weight", "classifier.0.weight", "fc.weight", "head.fc.weight"}) {
    TensorMap tensors = tensors_;
    tensors[name] = weight;
    EXPECT_THAT(Refusal(tensors), HasSubstr(absl::StrCat("the head '", name, "'")));
  }
}

TEST_F(ImportModelTest, AClassifierAboveABackboneIsTheHead) {
  TensorMap tensors;
  for (const auto& [name, tensor] : tensors_) {
    const bool head = name.starts_with("head.");
    tensors[head ? "classifier" + name.substr(4) : "backbone." + name] = tensor;
  }
  const auto model = Import(tensors);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->prefix, "backbone.");
  EXPECT_EQ(model->description.model.num_classes(), 10);
  for (const auto& [name, tensor] : tensors_) {
    EXPECT_TRUE(at::equal(model->tensors.at(name), tensor)) << name;
  }
}

TEST_F(ImportModelTest, AnEncoderWithoutAHeadHasNoClasses) {
  tensors_.erase("head.weight");
  tensors_.erase("head.bias");
  tensors_["pooler.dense.weight"] = at::ones({32, 32});  // transformers' layer, not used
  const auto model = Import(tensors_);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->description.model.num_classes(), 0);
  EXPECT_THAT(model->description.labels, IsEmpty());
  EXPECT_THAT(model->notes, Contains(HasSubstr("there is no head")));
  EXPECT_THAT(model->notes, Contains("not used: pooler.dense.weight"));
  options_.labels = {"cat"};
  EXPECT_THAT(Refusal(tensors_), HasSubstr("an encoder without a head"));
}

TEST_F(ImportModelTest, ADistillationTokenWithoutAHeadIsARegister) {
  const auto distilled = ReadSafetensors(kParity / "deit_distilled/model.safetensors");
  ASSERT_TRUE(distilled.ok());
  TensorMap tensors;
  for (const auto& [name, tensor] : distilled->tensors) {
    if (!name.starts_with("head_dist.")) tensors[name] = tensor.clone();
  }
  const auto model = Import(tensors);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_FALSE(model->description.model.distillation_token());
  EXPECT_EQ(model->description.model.reg_tokens(), 1);
  EXPECT_FALSE(model->description.model.no_embed_class());
  EXPECT_TRUE(at::equal(model->tensors.at("reg_token"), tensors.at("dist_token")));
}

TEST_F(ImportModelTest, TheActivationIsWhatTheFileSaysElseExactGelu) {
  auto model = Import(tensors_);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->description.model.activation(), vit::v1::ACTIVATION_GELU);
  EXPECT_THAT(model->notes, Contains(HasSubstr("assumed exact GELU")));
  options_.model.set_activation(vit::v1::ACTIVATION_GELU_TANH);
  model = Import(tensors_);
  EXPECT_EQ(model->description.model.activation(), vit::v1::ACTIVATION_GELU_TANH);
  EXPECT_THAT(model->notes, Not(Contains(HasSubstr("GELU"))));
  options_.model.clear_activation();
  const std::pair<const char*, vit::v1::Activation> configs[] = {
      {R"({"architecture":"vit_base_patch16_224.augreg_in1k"})", vit::v1::ACTIVATION_GELU},
      {R"({"architecture":"vit_base_patch16_clip_quickgelu_224"})", vit::v1::ACTIVATION_QUICK_GELU},
      {R"({"architecture":"vit_so400m_patch16_siglip_gap_256"})", vit::v1::ACTIVATION_GELU_TANH},
      {R"({"architecture":"vit_base_patch16_siglip_gap_256"})", vit::v1::ACTIVATION_GELU},
      {R"({"architecture":"vit_base_patch16_224","model_args":{"act_layer":"gelu_tanh"}})",
       vit::v1::ACTIVATION_GELU_TANH},
      {R"({"architecture":"vit_base_patch16_224","model_args":{"act_layer":"quick_gelu"}})",
       vit::v1::ACTIVATION_QUICK_GELU},
      {R"({"model_type":"vit","hidden_act":"gelu_pytorch_tanh"})", vit::v1::ACTIVATION_GELU_TANH},
      {R"({"model_type":"vit","hidden_act":"gelu_new"})", vit::v1::ACTIVATION_GELU_TANH},
      {R"({"model_type":"vit","hidden_act":"quick_gelu"})", vit::v1::ACTIVATION_QUICK_GELU},
      {R"({"model_type":"vit","hidden_act":"gelu"})", vit::v1::ACTIVATION_GELU},
  };
  for (const auto& [config, activation] : configs) {
    WriteText("config.json", config);
    options_.model.clear_global_pool();
    const auto folder = ImportFolder();
    // The parity model pools its class token; SigLIP's names say otherwise.
    if (std::string(config).find("siglip") != std::string::npos) {
      const auto known = ReadPretrainedConfig(folder_, {});
      ASSERT_TRUE(known.ok()) << known.status();
      EXPECT_EQ(known->model.activation(), activation) << config;
      continue;
    }
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(folder->description.model.activation(), activation) << config;
  }
  EXPECT_EQ(ReadPretrainedConfig(folder_, {})->model.activation(), vit::v1::ACTIVATION_GELU);
  WriteText("config.json", R"({"architecture":"vit_large_patch14_clip_224"})");
  EXPECT_EQ(ReadPretrainedConfig(folder_, {})->model.layer_norm_eps(), 1e-5);
}

TEST_F(ImportModelTest, ConfigsOfOtherFormulasAreRefusedByName) {
  Write("model.safetensors", tensors_);
  const std::pair<const char*, const char*> configs[] = {
      {R"({"architecture":"vit_base_patch16_rpn_224"})", "post-norm"},
      {R"({"architecture":"vit_small_patch16_dinov3.lvd1689m"})", "rotary positions"},
      {R"({"architecture":"eva02_tiny_patch14_224"})", "rotary positions"},
      {R"({"architecture":"beitv2_base_patch16_224"})", "relative position bias"},
      {R"({"architecture":"vit_base_patch16_siglip_224"})", "attention pooling"},
      {R"({"architecture":"vit_base_patch16_xp_224"})", "in parallel"},
      {R"({"architecture":"vit_base_patch16_224","model_args":{"act_layer":"silu"}})",
       "act_layer 'silu'"},
      {R"({"architecture":"vit_base_patch16_224","model_args":{"norm_layer":"rmsnorm"}})",
       "'norm_layer' = \"rmsnorm\""},
      {R"({"architecture":"vit_base_patch16_224","model_args":{"mlp_layer":"swiglu"}})",
       "'mlp_layer' = \"swiglu\""},
      {R"({"architecture":"vit_base_patch16_224","model_args":{"global_pool":"map"}})",
       "global_pool 'map'"},
      {R"({"architecture":"qwen3_vit_88m"})", "architecture 'qwen3_vit_88m' is not supported"},
      {R"({"architecture":"resnet50"})", "import the weights file itself"},
      {R"({"model_type":"beit","hidden_act":"gelu"})", "relative position bias"},
      {R"({"model_type":"dinov3_vit"})", "rotary positions"},
      {R"({"model_type":"swin"})", "model_type 'swin' is not supported"},
      {R"({"model_type":"vit","hidden_act":"relu"})", "hidden_act 'relu'"},
      {R"({"model_type":"dinov2","use_swiglu_ffn":true})", "SwiGLU"},
  };
  for (const auto& [config, what] : configs) EXPECT_THAT(ConfigRefusal(config), HasSubstr(what));
  WriteText("config.json", R"({"architecture":"vit_base_patch16_224","model_args":
      {"norm_layer":null,"act_layer":"gelu","scale_attn_norm":false}})");
  EXPECT_TRUE(ImportFolder().ok());
}

TEST_F(ImportModelTest, TimmsConfigTellsTheImageSizeThatWeightsWithoutPositionsDoNot) {
  for (const auto& [config, size] : std::initializer_list<std::pair<const char*, int>>{
           {R"({"architecture":"vit_base_patch16_224","model_args":{"img_size":48}})", 48},
           {R"({"architecture":"vit_base_patch16_224","model_args":{"img_size":[64,64]},
                "pretrained_cfg":{"input_size":[3,32,32]}})",
            64},
           {R"({"architecture":"vit_base_patch16_224","pretrained_cfg":{"input_size":[3,32,32]}})",
            32},
           {R"({"architecture":"vit_base_patch16_224"})", 224}}) {
    WriteText("config.json", config);
    const auto read = ReadPretrainedConfig(folder_, {});
    ASSERT_TRUE(read.ok()) << read.status();
    const int read_size = read->model.has_image_size() ? read->model.image_size() : 224;
    EXPECT_EQ(read_size, size) << config;
  }
}

// The links of huggingface_hub's cache: snapshots/REVISION/NAME to blobs/HASH.
TEST_F(ImportModelTest, AFolderOfLinksIsReadWhereTheyLeadUnderADataRoot) {
  Write("blob0", tensors_);
  WriteText("blob1", R"({"model_type":"vit","num_attention_heads":2,"hidden_act":"quick_gelu"})");
  fs::create_directories(folder_ / "snapshots/abc");
  fs::create_symlink("../../blob0", folder_ / "snapshots/abc/model.safetensors");
  fs::create_symlink("../../blob1", folder_ / "snapshots/abc/config.json");
  options_.model.clear_num_heads();
  EXPECT_EQ(ImportModel(folder_ / "snapshots/abc", options_).status().code(),
            absl::StatusCode::kPermissionDenied);
  options_.data_roots = {(folder_ / "snapshots").string()};
  EXPECT_EQ(ImportModel(folder_ / "snapshots/abc", options_).status().code(),
            absl::StatusCode::kPermissionDenied);
  options_.data_roots = {folder_.string()};
  const auto model = ImportModel(folder_ / "snapshots/abc", options_);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->description.model.num_heads(), 2);
  EXPECT_EQ(model->description.model.activation(), vit::v1::ACTIVATION_QUICK_GELU);
}

TEST(LoadWeightsRefusalTest, BlocksWithoutAPartAreNoStart) {
  vit::v1::ModelConfig config;
  config.set_image_size(32);
  config.set_patch_size(8);
  config.set_embed_dim(32);
  config.set_depth(2);
  config.set_num_heads(4);
  FillModelDefaults(10, &config);
  const VisionTransformer model(config);
  TensorMap tensors;
  for (const auto& [name, tensor] : StateDict(*model)) tensors[name] = at::zeros_like(tensor);
  ASSERT_TRUE(CheckInitialWeightsFit(tensors, *model).ok());
  TensorMap more = tensors;
  more["pooler.dense.weight"] = at::ones({4});  // elsewhere it is a note
  ASSERT_TRUE(CheckInitialWeightsFit(more, *model).ok());
  more["blocks.1.ls1.gamma"] = at::ones({32});
  EXPECT_THAT(std::string(CheckInitialWeightsFit(more, *model).message()),
              AllOf(HasSubstr("blocks.1.ls1.gamma"), HasSubstr("model.init_values")));
  more = tensors;
  more["blocks.2.norm1.weight"] = at::ones({32});
  EXPECT_THAT(std::string(CheckInitialWeightsFit(more, *model).message()),
              HasSubstr("set model.depth"));
  tensors["blocks.1.norm1.weight"] = at::full({32}, std::nan(""));
  EXPECT_THAT(std::string(CheckInitialWeightsFit(tensors, *model).message()),
              HasSubstr("'blocks.1.norm1.weight' has NaN"));
}

}  // namespace
}  // namespace vit
