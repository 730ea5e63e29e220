#include "core/weights/fit_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

#include "absl/strings/str_split.h"
#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"
#include "core/model/position_embedding.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/load_weights.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

vit::v1::ModelConfig Config(int image_size, int patch_size) {
  vit::v1::ModelConfig config;
  config.set_image_size(image_size);
  config.set_patch_size(patch_size);
  config.set_embed_dim(16);
  config.set_depth(1);
  config.set_num_heads(2);
  return config;
}

VisionTransformer Model(vit::v1::ModelConfig config, uint64_t seed, int classes = 3) {
  FillModelDefaults(classes, &config);
  EXPECT_TRUE(ValidateModelConfig(config).ok()) << ValidateModelConfig(config);
  VisionTransformer model(config);
  model->Initialize(seed);
  torch::NoGradGuard no_grad;
  for (at::Tensor& parameter : model->parameters()) parameter += 0.1 * at::randn_like(parameter);
  model->eval();
  return model;
}

TensorMap Weights(const VisionTransformer& model) {
  TensorMap weights;
  for (const auto& [name, value] : StateDict(*model)) weights[name] = value.detach().clone();
  return weights;
}

TEST(PositionEmbeddingTest, ResamplingEqualsTimms) {
  const auto file = ReadSafetensors(std::filesystem::path(VIT_SOURCE_DIR) /
                                    "tests/data/parity/pos_embed.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  int compared = 0;
  for (const auto& [name, expected] : file->tensors) {
    if (expected.size(1) == 14 * 14 + 1) continue;
    // "to_7x7": a grid behind one prefix token.
    const std::vector<std::string> sides = absl::StrSplit(name.substr(name.rfind('_') + 1), 'x');
    ASSERT_EQ(sides.size(), 2) << name;
    const PatchGrid to{std::stol(sides[0]), std::stol(sides[1])};
    for (const auto& [other, source] : file->tensors) {
      if (source.size(1) != 14 * 14 + 1) continue;
      const at::Tensor actual = ResamplePositionEmbedding(source, 1, {14, 14}, to);
      EXPECT_LT(((actual - expected).abs().max() / expected.abs().max()).item<double>(), 1e-5)
          << name;
      ++compared;
    }
  }
  EXPECT_GT(compared, 1);
}

TEST(PositionEmbeddingTest, SinCosIsBigVisions) {
  // posemb_sincos_2d of big_vision for a grid of 2 rows and 3 columns, width 8: frequencies 1 and
  // 1e-4.
  const at::Tensor embedding = SinCosPositionEmbedding({2, 3}, 8)[0];
  const at::Tensor last = at::tensor({std::sin(2.0), std::sin(2e-4), std::cos(2.0), std::cos(2e-4),
                                      std::sin(1.0), std::sin(1e-4), std::cos(1.0), std::cos(1e-4)},
                                     at::kFloat);
  EXPECT_TRUE(at::allclose(embedding[5], last, 1e-6, 1e-7));
  EXPECT_EQ(embedding.size(0), 6);
}

TEST(FitWeightsTest, APatchProjectionMadeForSmallerPatchesGivesTheSameTokens) {
  torch::NoGradGuard no_grad;
  // Growing loses nothing: a resized patch times the resampled kernel is the patch times the
  // kernel.
  const at::Tensor kernel = at::randn({5, 3, 8, 8}), patch = at::randn({1, 3, 8, 8});
  const at::Tensor grown = ResamplePatchProjection(kernel, 12, 12);
  const at::Tensor resized = at::_upsample_bicubic2d_aa(patch, {12, 12}, false);
  EXPECT_TRUE(
      at::allclose((grown * resized).sum({1, 2, 3}), (kernel * patch).sum({1, 2, 3}), 1e-3, 1e-3));
  EXPECT_TRUE(at::allclose(ResamplePatchProjection(kernel, 8, 8), kernel, 1e-4, 1e-5));
}

TEST(FitWeightsTest, LargerImagesResampleThePositions) {
  VisionTransformer source = Model(Config(16, 4), 1), target = Model(Config(24, 4), 2);
  const auto note = LoadInitialWeights(Weights(source), *target);
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(*note, "positions resampled from 4 x 4 to 6 x 6");
  const at::Tensor expected = ResamplePositionEmbedding(
      source->named_parameters()["pos_embed"].detach(), 1, {4, 4}, {6, 6});
  EXPECT_TRUE(at::equal(target->named_parameters()["pos_embed"], expected));
}

TEST(FitWeightsTest, OtherPatchesResampleTheProjection) {
  VisionTransformer source = Model(Config(16, 4), 1), target = Model(Config(32, 8), 2);
  const auto note = LoadInitialWeights(Weights(source), *target);
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(*note, "patch projection resampled from 4 x 4 to 8 x 8");
}

TEST(FitWeightsTest, PositionsOfTokensInFrontMoveIntoThemWhereTheModelHasNoneForThem) {
  vit::v1::ModelConfig config = Config(16, 4);
  VisionTransformer source = Model(config, 1);
  config.set_no_embed_class(true);
  VisionTransformer target = Model(config, 2);
  ASSERT_TRUE(LoadInitialWeights(Weights(source), *target).ok());
  torch::NoGradGuard no_grad;
  const at::Tensor images = at::randn({2, 3, 16, 16});
  EXPECT_TRUE(at::allclose(target->forward(images), source->forward(images), 1e-4, 1e-5));
}

TEST(FitWeightsTest, WhatOneOfBothModelsHasIsNamed) {
  vit::v1::ModelConfig distilled = Config(16, 4);
  distilled.set_distillation_token(true);
  VisionTransformer source = Model(distilled, 1);
  vit::v1::ModelConfig pooled = Config(16, 4);
  pooled.set_global_pool(vit::v1::GLOBAL_POOL_AVG);
  pooled.set_reg_tokens(2);
  VisionTransformer target = Model(pooled, 2);
  const auto note = LoadInitialWeights(Weights(source), *target);
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(*note,
            "not in the weights, so new: reg_token, fc_norm.weight, fc_norm.bias; not used: "
            "dist_token, head_dist.bias, head_dist.weight, norm.bias, norm.weight");
}

TEST(FitWeightsTest, MismatchesThatMatterNameBothShapes) {
  VisionTransformer source = Model(Config(16, 4), 1);
  vit::v1::ModelConfig wider = Config(16, 4);
  wider.set_mlp_ratio(2);
  const absl::Status status = LoadInitialWeights(Weights(source), *Model(wider, 2)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("blocks.0.mlp.fc1.weight (file [64, 16], model [32, 16])"));

  vit::v1::ModelConfig deeper = Config(16, 4);
  deeper.set_depth(2);
  EXPECT_THAT(
      std::string(LoadInitialWeights(Weights(source), *Model(deeper, 2)).status().message()),
      HasSubstr("missing blocks.1.norm1.weight"));
}

TEST(FitWeightsTest, PositionsThatFormNoGridAreRefused) {
  TensorMap weights = Weights(Model(Config(16, 4), 1));
  weights["pos_embed"] = at::ones({1, 14, 16});
  std::vector<std::string> notes;
  vit::v1::ModelConfig config = Config(24, 4);
  FillModelDefaults(3, &config);
  EXPECT_THAT(std::string(FitWeights(config, &weights, &notes).message()),
              HasSubstr("pos_embed [1, 14, 16] holds no square grid"));
}

}  // namespace
}  // namespace vit
