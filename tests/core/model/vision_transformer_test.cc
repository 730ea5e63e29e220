#include "core/model/vision_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/base/compute/named_tensors.h"
#include "core/model/autocast.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/load_weights.h"
#include "proto/spec_text.h"
#include "tests/core/model/testing.h"

namespace vit {
namespace {

const std::filesystem::path kParity = std::filesystem::path(VIT_SOURCE_DIR) / "tests/data/parity";

// What the reference cases set beyond 32 x 32, patch 4, 32 wide, 2 deep, 4 heads, 10 classes.
const std::map<std::string, const char*> kCases = {
    {"timm_cls", ""},
    {"timm_avg_fc_norm", "global_pool: GLOBAL_POOL_AVG"},
    {"timm_layer_scale", "init_values: 1e-5"},
    {"timm_no_cls_avg", "class_token: false global_pool: GLOBAL_POOL_AVG"},
    {"timm_pre_norm_no_bias", "pre_norm: true qkv_bias: false"},
    {"timm_qk_norm", "qk_norm: true"},
    {"timm_rect_patch16", "image_size: 64 patch_size: 16 num_heads: 2"},
    {"timm_registers_no_embed_class", "reg_tokens: 4 no_embed_class: true init_values: 1e-5"},
    {"deit_distilled", "distillation_token: true"},
};

vit::v1::ModelConfig CaseConfig(const std::string& name) {
  vit::v1::ModelConfig config;
  config.set_image_size(32);
  config.set_patch_size(4);
  config.set_embed_dim(32);
  config.set_depth(2);
  config.set_num_heads(4);
  vit::v1::ModelConfig overrides;
  EXPECT_TRUE(ParseMessageText(kCases.at(name), &overrides).ok());
  config.MergeFrom(overrides);
  FillModelDefaults(10, &config);
  EXPECT_TRUE(ValidateModelConfig(config).ok());
  return config;
}

class ParityTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto weights = ReadSafetensors(kParity / GetParam() / "model.safetensors");
    auto expected = ReadSafetensors(kParity / GetParam() / "expected.safetensors");
    ASSERT_TRUE(weights.ok()) << weights.status();
    ASSERT_TRUE(expected.ok()) << expected.status();
    expected_ = expected->tensors;
    ASSERT_TRUE(LoadWeights(weights->tensors, *model_).ok());
    model_->eval();
  }
  VisionTransformer model_{CaseConfig(GetParam())};
  TensorMap expected_;
};

TEST_P(ParityTest, LogitsLossAndGradientsEqualTimms) {
  const at::Tensor logits = model_->forward(expected_.at("input"));
  EXPECT_LT(LargestError(logits, expected_.at("logits")), 1e-5);
  const at::Tensor loss = at::cross_entropy_loss(logits, expected_.at("labels"));
  EXPECT_LT(LargestError(loss, expected_.at("loss")), 1e-5);
  loss.backward();
  int compared = 0;
  for (const auto& parameter : model_->named_parameters()) {
    at::Tensor actual = parameter.value().grad();
    at::Tensor expected = expected_.at("grad." + parameter.key());
    if (parameter.key().ends_with("k_norm.bias")) {
      // Moves all scores of a row alike, so that the gradient is zero but for rounding.
      EXPECT_LT(actual.abs().max().item<double>(), 1e-6);
      ++compared;
      continue;
    }
    if (parameter.key().ends_with("qkv.bias") && !model_->config().qk_norm()) {
      // The key third is zero but for rounding.
      const int64_t third = actual.size(0) / 3;
      EXPECT_LT(actual.slice(0, third, 2 * third).abs().max().item<double>(), 1e-6);
      actual = at::cat({actual.slice(0, 0, third), actual.slice(0, 2 * third)});
      expected = at::cat({expected.slice(0, 0, third), expected.slice(0, 2 * third)});
    }
    EXPECT_LT(LargestError(actual, expected), 1e-4) << parameter.key();
    ++compared;
  }
  EXPECT_EQ(compared, std::count_if(expected_.begin(), expected_.end(), [](const auto& item) {
              return item.first.starts_with("grad.");
            }));
}

// Returns the logits, and the gradients of the sum of their squares, concatenated. A drop path
// drops the same samples each time.
std::pair<at::Tensor, at::Tensor> Backpropagate(VisionTransformer& model, const at::Tensor& images,
                                                bool bfloat16) {
  torch::manual_seed(3);
  model->zero_grad();
  at::Tensor logits;
  {
    const AutocastGuard autocast(bfloat16, at::kCPU);
    logits = model->forward(images).to(at::kFloat);
    logits.square().sum().backward();
  }
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : model->parameters()) {
    if (parameter.grad().defined()) gradients.push_back(parameter.grad().flatten());
  }
  return {logits.detach(), at::cat(gradients)};
}

TEST_P(ParityTest, BFloat16StaysNearFloat32) {
  const at::Tensor images = expected_.at("input");
  const auto exact = Backpropagate(model_, images, false);
  const auto rounded = Backpropagate(model_, images, true);
  const double error = LargestError(rounded.first, exact.first);
  RecordProperty("bf16_relative_error", std::to_string(error));
  // bfloat16 has 8 bits of mantissa: one rounding is 0.4 %, and a dozen follow each other here.
  EXPECT_LT(error, 0.03);
  EXPECT_GT(error, 0);
  EXPECT_LT(LargestError(rounded.second, exact.second), 0.05);
}

TEST(VisionTransformerTest, BFloat16StaysNearFloat32WithLayerScaleAndDropPath) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  config.set_init_values(0.1);
  config.set_drop_path_rate(0.3);
  VisionTransformer model(config);
  model->Initialize(1);
  model->train();
  const at::Tensor images = at::randn({16, 3, config.image_size(), config.image_size()});
  const auto exact = Backpropagate(model, images, false);
  const auto rounded = Backpropagate(model, images, true);
  EXPECT_LT(LargestError(rounded.first, exact.first), 0.03);
  EXPECT_LT(LargestError(rounded.second, exact.second), 0.05);
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const auto& [name, config] : kCases) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Cases, ParityTest, ::testing::ValuesIn(CaseNames()),
                         [](const auto& info) { return info.param; });

TEST(VisionTransformerTest, FeaturesEqualTimms) {
  VisionTransformer model(CaseConfig("timm_cls"));
  auto weights = ReadSafetensors(kParity / "timm_cls/model.safetensors");
  auto features = ReadSafetensors(kParity / "timm_cls/features.safetensors");
  auto expected = ReadSafetensors(kParity / "timm_cls/expected.safetensors");
  ASSERT_TRUE(weights.ok() && features.ok() && expected.ok());
  ASSERT_TRUE(LoadWeights(weights->tensors, *model).ok());
  model->eval();
  torch::NoGradGuard no_grad;
  std::vector<at::Tensor> attention;
  const at::Tensor tokens = model->ForwardFeatures(expected->tensors.at("input"), &attention);
  EXPECT_LT(LargestError(tokens, features->tensors.at("tokens")), 1e-5);
  ASSERT_EQ(attention.size(), 2);
  for (int block = 0; block < 2; ++block) {
    EXPECT_LT(
        LargestError(attention[block], features->tensors.at("attention." + std::to_string(block))),
        1e-5);
  }
}

TEST(VisionTransformerTest, InitialisationIsAFunctionOfTheSeed) {
  VisionTransformer a(CaseConfig("timm_cls")), b(CaseConfig("timm_cls")), c(CaseConfig("timm_cls"));
  a->Initialize(7);
  const ThreadCount one(1);
  b->Initialize(7);
  c->Initialize(8);
  EXPECT_TRUE(at::equal(a->named_parameters()["blocks.1.mlp.fc1.weight"],
                        b->named_parameters()["blocks.1.mlp.fc1.weight"]));
  EXPECT_FALSE(at::equal(a->named_parameters()["blocks.1.mlp.fc1.weight"],
                         c->named_parameters()["blocks.1.mlp.fc1.weight"]));
}

TEST(VisionTransformerTest, BuildingAndInitialisingLeaveTheGeneratorOfATrainingRunAlone) {
  const at::Generator& generator = at::detail::getDefaultCPUGenerator();
  const at::Tensor before = generator.get_state().clone();
  vit::v1::ModelConfig config;
  config.set_image_size(16);
  config.set_patch_size(4);
  config.set_embed_dim(16);
  config.set_num_heads(2);
  config.set_drop_rate(0.5);
  FillModelDefaults(3, &config);
  VisionTransformer model(config);
  model->Initialize(1);
  model->eval();
  model->forward(at::zeros({1, 3, 16, 16}));
  EXPECT_TRUE(at::equal(generator.get_state(), before));
}

TEST(VisionTransformerTest, InitialisationHasTimmsDistributions) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  config.set_embed_dim(256);
  VisionTransformer model(config);
  model->Initialize(1);
  torch::NoGradGuard no_grad;
  const auto parameters = model->named_parameters();
  EXPECT_NEAR(parameters["blocks.0.attn.qkv.weight"].std().item<double>(), 0.02, 2e-4);
  EXPECT_NEAR(parameters["blocks.0.attn.qkv.weight"].mean().item<double>(), 0, 2e-4);
  EXPECT_NEAR(parameters["pos_embed"].std().item<double>(), 0.02, 1e-3);
  EXPECT_LT(parameters["cls_token"].abs().max().item<double>(), 1e-5);
  const double bound = 1 / std::sqrt(48.0);
  EXPECT_LE(parameters["patch_embed.proj.weight"].abs().max().item<double>(), bound);
  EXPECT_NEAR(parameters["patch_embed.proj.weight"].std().item<double>(), bound / std::sqrt(3.0),
              2e-3);
  EXPECT_EQ(parameters["blocks.0.norm1.weight"].min().item<double>(), 1);
  EXPECT_EQ(parameters["blocks.0.mlp.fc1.bias"].abs().max().item<double>(), 0);
}

TEST(VisionTransformerTest, DropsOnlyWhileTraining) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  for (auto setter :
       {&vit::v1::ModelConfig::set_attn_mask_rate, &vit::v1::ModelConfig::set_drop_rate,
        &vit::v1::ModelConfig::set_pos_drop_rate, &vit::v1::ModelConfig::set_proj_drop_rate,
        &vit::v1::ModelConfig::set_attn_drop_rate, &vit::v1::ModelConfig::set_drop_path_rate}) {
    vit::v1::ModelConfig one = config;
    (one.*setter)(0.5);
    VisionTransformer model(one);
    model->Initialize(3);
    torch::NoGradGuard no_grad;
    // The head's tiny weights would hide small changes.
    model->named_parameters()["head.weight"].normal_();
    const at::Tensor images = at::randn({2, 3, 32, 32});
    model->eval();
    EXPECT_TRUE(at::equal(model->forward(images), model->forward(images)));
    model->train();
    EXPECT_FALSE(at::equal(model->forward(images), model->forward(images)));
    torch::manual_seed(5);
    const at::Tensor first = model->forward(images);
    torch::manual_seed(5);
    EXPECT_TRUE(at::equal(first, model->forward(images)));
  }
}

TEST(VisionTransformerTest, AttentionMasksLeaveEveryRowSomething) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  config.set_attn_mask_rate(0.999);  // nearly every row would lose all of its scores
  VisionTransformer model(config);
  model->Initialize(3);
  model->train();
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(model->forward(at::randn({2, 3, 32, 32})).isfinite().all().item<bool>());
}

TEST(VisionTransformerTest, BatchNormLearnsItsMeansWhileTrainingAndUsesThemAfterwards) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  config.set_norm_layer(vit::v1::NORM_LAYER_BATCH_NORM);
  VisionTransformer model(config);
  model->Initialize(3);
  torch::NoGradGuard no_grad;
  const at::Tensor images = at::randn({8, 3, 32, 32});
  model->eval();
  const at::Tensor before = model->forward(images);
  model->train();
  for (int i = 0; i < 3; ++i) model->forward(images);
  model->eval();
  EXPECT_EQ(model->named_buffers()["blocks.1.norm2.num_batches_tracked"].item<int64_t>(), 3);
  EXPECT_FALSE(at::allclose(model->forward(images), before));
  // The answer for one image does not depend on the others in the batch.
  EXPECT_TRUE(at::allclose(model->forward(images.slice(0, 0, 1)),
                           model->forward(images).slice(0, 0, 1), 1e-4, 1e-5));
}

TEST(VisionTransformerTest, OtherSizesAreTakenOnlyByADynamicModel) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  VisionTransformer fixed(config);
  fixed->Initialize(3);
  EXPECT_ANY_THROW(fixed->forward(at::randn({1, 3, 48, 32})));
  config.set_dynamic_image_size(true);
  VisionTransformer dynamic(config);
  dynamic->Initialize(3);
  const at::Tensor images = at::randn({1, 3, 32, 32});
  EXPECT_TRUE(at::equal(dynamic->forward(images), fixed->forward(images)));
  EXPECT_EQ(dynamic->ForwardFeatures(at::randn({1, 3, 48, 32})).size(1), 12 * 8 + 1);
}

TEST(VisionTransformerTest, DropPathKeepsTheMeanAndSkipsWholeSamples) {
  vit::v1::ModelConfig config = CaseConfig("timm_cls");
  config.set_depth(2);
  config.set_drop_path_rate(0.25);
  Block block(config, 0.25);
  torch::NoGradGuard no_grad;
  for (auto& parameter : block->parameters()) parameter.normal_(0, 0.2);
  block->named_parameters()["mlp.fc2.weight"].zero_();
  block->named_parameters()["mlp.fc2.bias"].zero_();  // only the attention branch is left
  const at::Tensor x = at::randn({1, 5, 32}).expand({4000, 5, 32}).contiguous();
  block->eval();
  const at::Tensor branch = block->forward({x, {}}).Value()[0] - x[0];
  block->train();
  torch::manual_seed(11);
  const at::Tensor scale =
      ((block->forward({x, {}}).Value() - x) / branch).flatten(1);  // [4000, 5 * 32], 0 or 1 / 0.75
  const at::Tensor kept = scale.select(1, 0) > 0.5;
  EXPECT_NEAR(kept.to(at::kFloat).mean().item<double>(), 0.75, 0.03);
  EXPECT_TRUE(
      at::allclose(scale, (kept.to(at::kFloat) / 0.75).unsqueeze(1).expand_as(scale), 1e-2, 1e-2));
}

}  // namespace
}  // namespace vit
