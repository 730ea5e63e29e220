#include "core/model/frozen/frozen_transformer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/compute/compute_team.h"
#include "core/model/autocast.h"
#include "core/model/frozen/tensor_transformer.h"
#include "core/model/model_config.h"
#include "core/model/normalize.h"
#include "core/spec/defaults.h"
#include "proto/spec_text.h"
#include "tests/core/model/testing.h"

namespace vit {
namespace {

using Output = FrozenTransformer::Output;

// What a model may have beyond 32 x 32, patch 8, 32 wide, 2 deep, 4 heads, 10 classes.
const std::map<std::string, const char*> kCases = {
    {"plain", ""},
    {"one_block", "depth: 1"},
    {"avg", "global_pool: GLOBAL_POOL_AVG"},
    {"avg_norm_first", "global_pool: GLOBAL_POOL_AVG fc_norm: false"},
    {"avg_no_class_token", "global_pool: GLOBAL_POOL_AVG class_token: false"},
    {"max", "global_pool: GLOBAL_POOL_MAX"},
    {"flatten", "global_pool: GLOBAL_POOL_FLATTEN class_token: false"},
    {"token_and_avg", "global_pool: GLOBAL_POOL_TOKEN_AND_AVG"},
    {"token_fc_norm", "fc_norm: true"},
    {"no_final_norm", "final_norm: false"},
    {"no_final_norm_avg", "final_norm: false global_pool: GLOBAL_POOL_AVG"},
    {"registers", "reg_tokens: 4 no_embed_class: true init_values: 1e-5"},
    {"distilled", "distillation_token: true"},
    {"distilled_registers", "distillation_token: true reg_tokens: 3"},
    {"layer_scale", "init_values: 0.5"},
    {"qk_norm", "qk_norm: true"},
    {"pre_norm_no_bias", "pre_norm: true qkv_bias: false"},
    {"gelu_tanh", "activation: ACTIVATION_GELU_TANH"},
    {"quick_gelu", "activation: ACTIVATION_QUICK_GELU"},
    {"no_positions", "pos_embed: POSITION_EMBEDDING_NONE"},
    {"sincos", "pos_embed: POSITION_EMBEDDING_SINCOS_2D"},
    {"represented", "representation_size: 24"},
    {"represented_gelu",
     "representation_size: 24 representation_activation: REPRESENTATION_ACTIVATION_GELU"},
    {"batch_norm", "norm_layer: NORM_LAYER_BATCH_NORM"},
    {"batch_norm_avg", "norm_layer: NORM_LAYER_BATCH_NORM global_pool: GLOBAL_POOL_AVG"},
    {"batch_norm_pre_norm", "norm_layer: NORM_LAYER_BATCH_NORM pre_norm: true"},
    {"shared_norm", "shared_norm: true"},
    {"no_proj", "attn_proj: false"},
    {"no_proj_layer_scale", "attn_proj: false init_values: 0.5"},
    {"no_proj_bias", "proj_bias: false"},
    {"scale_by_embed_dim", "scale_by_embed_dim: true"},
    {"odd_sizes", "embed_dim: 35 num_heads: 5 mlp_ratio: 2.5 num_classes: 7"},
    {"odd_sizes_qk_norm", "embed_dim: 36 num_heads: 3 qk_norm: true"},
    {"one_head", "num_heads: 1"},
    {"wide_patches", "patch_size: 4 patch_width: 16"},
    {"pixels", "image_size: 6 patch_size: 1"},
    {"one_patch", "patch_size: 32"},
    {"patch_norm", "patch_norm: true"},
    {"patch_norm_odd_sizes",
     "patch_norm: true embed_dim: 35 num_heads: 5 image_size: 30 patch_size: 5"},
    {"patch_norm_pre_norm", "patch_norm: true pre_norm: true global_pool: GLOBAL_POOL_AVG"},
    {"long", "patch_size: 2"},
    {"wide", "embed_dim: 192 num_heads: 3 depth: 3 num_classes: 130"},
};

vit::v1::DataConfig Preprocessing() {
  vit::v1::DataConfig config;
  for (double mean : {0.485, 0.456, 0.406}) config.add_mean(mean);
  for (double deviation : {0.229, 0.224, 0.225}) config.add_std(deviation);
  return config;
}

vit::v1::ModelConfig Config(const std::string& text) {
  vit::v1::ModelConfig config, overrides;
  config.set_image_size(32);
  config.set_patch_size(8);
  config.set_embed_dim(32);
  config.set_depth(2);
  config.set_num_heads(4);
  EXPECT_TRUE(ParseMessageText(text, &overrides).ok());
  config.MergeFrom(overrides);
  FillModelDefaults(10, &config);
  EXPECT_EQ(ValidateModelConfig(config), absl::OkStatus());
  return config;
}

// A model none of whose weights is 0, 1 or equal to another, as if it were trained.
VisionTransformer TrainedModel(const vit::v1::ModelConfig& config) {
  VisionTransformer model(config);
  model->Initialize(/*seed=*/1);
  model->eval();
  at::Generator generator = at::detail::createCPUGenerator(2);
  torch::NoGradGuard no_grad;
  for (auto& [name, value] : StateDict(*model)) {
    if (!value.is_floating_point()) continue;
    const at::Tensor noise = at::rand(value.sizes(), generator);
    if (name.ends_with("running_var")) {
      value.add_(noise);
    } else {
      value.add_(noise - 0.5, value.dim() > 1 ? 0.2 : 0.5);
    }
  }
  return model;
}

class FrozenTransformerTest : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr int kImages = 5;

  void Make(const std::string& text, int64_t image_size = 0) {
    model_ = TrainedModel(Config(text));
    image_size_ = image_size != 0 ? image_size : model_->config().image_size();
    at::Generator generator = at::detail::createCPUGenerator(3);
    bytes_ = at::randint(0, 256, {kImages, 3, image_size_, image_size_}, generator, at::kByte);
  }

  std::unique_ptr<FrozenTransformer> Freeze(bool bfloat16) {
    return FrozenTransformer::Create(*model_, Preprocessing(),
                                     {.image_size = image_size_, .bfloat16 = bfloat16});
  }

  void ExpectWhatTheModelComputes(const FrozenTransformer& frozen, bool bfloat16) {
    ComputeTeam team("test", 2);
    for (const Output output :
         {Output::kLogits, Output::kFeatures, Output::kLogitsAndFeatures, Output::kTokens}) {
      SCOPED_TRACE(absl::StrCat(bfloat16 ? "bfloat16" : "float32", ", output ", output));
      EXPECT_LT(LargestError(Compute(frozen, output, kImages, &team), Expected(output, bfloat16)),
                bfloat16 ? 0.03 : 1e-5);
    }
  }

  // Computes the first `count` images.
  at::Tensor Compute(const FrozenTransformer& frozen, Output output, int count,
                     ComputeTeam* team) const {
    std::vector<FrozenTransformer::Image> images;
    for (int i = 0; i < count; ++i) {
      images.push_back({.bytes = bytes_[i].const_data_ptr<uint8_t>()});
    }
    at::Tensor out = at::full({count, frozen.OutputSize(output)}, NAN);
    frozen.Compute(images, output, team, out.data_ptr<float>());
    return out;
  }

  // Computes the first image from bytes, the others from `values`, [kImages, 3, S, S].
  at::Tensor LogitsOfValues(const FrozenTransformer& frozen, const at::Tensor& values,
                            ComputeTeam* team) const {
    const at::Tensor first = values[0].round().to(at::kByte);
    std::vector<FrozenTransformer::Image> images = {{.bytes = first.const_data_ptr<uint8_t>()}};
    for (int i = 1; i < kImages; ++i) {
      images.push_back({.values = values[i].const_data_ptr<float>()});
    }
    at::Tensor out = at::full({kImages, frozen.OutputSize(Output::kLogits)}, NAN);
    frozen.Compute(images, Output::kLogits, team, out.data_ptr<float>());
    return out;
  }

  // What the model computes of `images`, [kImages, 3, S, S]; of bytes_ if undefined.
  at::Tensor Expected(Output output, bool bfloat16, const at::Tensor& images = {}) {
    torch::NoGradGuard no_grad;
    AutocastGuard autocast(bfloat16, at::kCPU);
    const at::Tensor input =
        Normalizer(Preprocessing(), at::kCPU)(images.defined() ? images : bytes_);
    const at::Tensor tokens = model_->ForwardFeatures(input);
    if (output == Output::kTokens) return tokens.to(at::kFloat).flatten(1);
    std::vector<at::Tensor> parts;
    if (output != Output::kFeatures) parts.push_back(model_->ForwardHead(tokens).to(at::kFloat));
    if (output != Output::kLogits) parts.push_back(model_->Pool(tokens).to(at::kFloat));
    return at::cat(parts, 1);
  }

  VisionTransformer model_ = nullptr;
  int64_t image_size_ = 0;
  at::Tensor bytes_;  // [kImages, 3, S, S]
};

TEST_P(FrozenTransformerTest, ComputesWhatTheModelComputes) {
  Make(kCases.at(GetParam()));
  for (const bool bfloat16 : {false, true}) {
    ExpectWhatTheModelComputes(*Freeze(bfloat16), bfloat16);
  }
}

// What a CUDA device computes, and a CPU without kernels for small products.
TEST_P(FrozenTransformerTest, LibTorchsOperatorsComputeIt) {
  Make(kCases.at(GetParam()));
  for (const bool bfloat16 : {false, true}) {
    const frozen::TensorTransformer tensors(*model_, Preprocessing(),
                                            {.image_size = image_size_, .bfloat16 = bfloat16});
    ExpectWhatTheModelComputes(tensors, bfloat16);
  }
}

TEST_P(FrozenTransformerTest, AnImageDoesNotDependOnItsBatchOrTheThreads) {
  Make(kCases.at(GetParam()));
  for (const bool bfloat16 : {false, true}) {
    const auto frozen = Freeze(bfloat16);
    ComputeTeam alone("alone", 1);
    const at::Tensor all = Compute(*frozen, Output::kLogits, kImages, &alone);
    for (const int size : {1, 2, 3, 7}) {
      ComputeTeam team("test", size);
      for (int count = 1; count <= kImages; ++count) {
        EXPECT_TRUE(Compute(*frozen, Output::kLogits, count, &team).equal(all.slice(0, 0, count)))
            << "threads " << size << ", images " << count;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, FrozenTransformerTest, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const auto& [name, text] : kCases) names.push_back(name);
                           return names;
                         }()),
                         [](const auto& info) { return info.param; });

TEST_F(FrozenTransformerTest, TakesTheImageSizeThatIsServed) {
  Make("dynamic_image_size: true", 48);
  ComputeTeam team("test", 2);
  EXPECT_LT(LargestError(Compute(*Freeze(false), Output::kLogits, kImages, &team),
                         Expected(Output::kLogits, false)),
            1e-5);
}

TEST_F(FrozenTransformerTest, TakesValuesAsItTakesBytes) {
  ComputeTeam team("test", 2);
  for (const char* text : {"", "patch_norm: true"}) {
    Make(text);
    const at::Tensor whole = bytes_.to(at::kFloat), between = whole * 0.97 + 0.3;
    between[0] = between[0].round();
    for (const bool bfloat16 : {false, true}) {
      const auto frozen = Freeze(bfloat16);
      const frozen::TensorTransformer tensors(*model_, Preprocessing(),
                                              {.image_size = image_size_, .bfloat16 = bfloat16});
      const std::vector<const FrozenTransformer*> forms = {frozen.get(), &tensors};
      for (const FrozenTransformer* form : forms) {
        const at::Tensor expected = Compute(*form, Output::kLogits, kImages, &team);
        EXPECT_TRUE(LogitsOfValues(*form, whole, &team).equal(expected)) << text << bfloat16;
        EXPECT_LT(LargestError(LogitsOfValues(*form, between, &team),
                               Expected(Output::kLogits, bfloat16, between)),
                  bfloat16 ? 0.03 : 1e-5)
            << text;
      }
    }
  }
}

TEST_F(FrozenTransformerTest, FreezesAnEncoder) {
  Make("num_classes: 0");
  ComputeTeam team("test", 2);
  EXPECT_LT(LargestError(Compute(*Freeze(false), Output::kFeatures, kImages, &team),
                         Expected(Output::kFeatures, false)),
            1e-5);
}

TEST_F(FrozenTransformerTest, SeveralThreadsMayComputeAtOnce) {
  Make("");
  const auto frozen = Freeze(true);
  ComputeTeam alone("alone", 1);
  const at::Tensor expected = Compute(*frozen, Output::kLogits, kImages, &alone);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ComputeTeam team("test", 2);
      for (int round = 0; round < 20; ++round) {
        EXPECT_TRUE(Compute(*frozen, Output::kLogits, kImages, &team).equal(expected));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace vit
