#include "core/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"
#include "core/spec/presets.h"
#include "proto/set_field.h"
#include "proto/spec_text.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

vit::v1::ModelConfig Preset(const std::string& name, int num_classes) {
  for (const vit::v1::Preset& preset : ModelPresets()) {
    if (preset.name() != name) continue;
    vit::v1::ModelConfig model = preset.spec().model();
    FillModelDefaults(num_classes, &model);
    return model;
  }
  ADD_FAILURE() << "no preset " << name;
  return {};
}

// Parameters with 1000 classes. Unless another source is named, from timm 1.0.31:
// sum(p.numel() for p in timm.create_model(name, num_classes=1000).parameters()).
const std::map<std::string, int64_t> kParameterCounts = {
    {"vit_tiny_patch16_224", 5'717'416},
    {"vit_tiny_patch16_384", 5'790'376},
    {"vit_small_patch16_224", 22'050'664},
    {"vit_small_patch16_384", 22'196'584},
    {"vit_small_patch32_224", 22'878'952},
    {"vit_small_patch32_384", 22'915'432},
    {"vit_small_patch8_224", 22'055'272},
    {"vit_base_patch8_224", 86'576'872},
    {"vit_base_patch16_224", 86'567'656},
    {"vit_base_patch16_384", 86'859'496},
    {"vit_base_patch32_224", 88'224'232},
    {"vit_base_patch32_384", 88'297'192},
    {"vit_large_patch14_224", 304'203'752},
    {"vit_large_patch16_224", 304'326'632},
    {"vit_large_patch16_384", 304'715'752},
    {"vit_large_patch32_224", 306'535'400},
    {"vit_large_patch32_384", 306'632'680},
    {"vit_huge_patch14_224", 632'045'800},
    {"vit_giant_patch14_224", 1'012'611'432},
    {"vit_gigantic_patch14_224", 1'844'440'680},
    {"deit_tiny_patch16_224", 5'717'416},
    {"deit_tiny_distilled_patch16_224", 5'910'800},
    {"deit_small_patch16_224", 22'050'664},
    {"deit_small_distilled_patch16_224", 22'436'432},
    {"deit_base_patch16_224", 86'567'656},
    {"deit_base_distilled_patch16_224", 87'338'192},
    {"deit_base_patch16_384", 86'859'496},
    {"deit_base_distilled_patch16_384", 87'630'032},
    {"deit3_small_patch16_224", 22'059'496},
    {"deit3_small_patch16_384", 22'205'416},
    {"deit3_medium_patch16_224", 38'849'512},
    {"deit3_base_patch16_224", 86'585'320},
    {"deit3_base_patch16_384", 86'877'160},
    {"deit3_large_patch16_224", 304'374'760},
    {"deit3_large_patch16_384", 304'763'880},
    {"deit3_huge_patch14_224", 632'126'440},
    {"vit_small_patch14_dinov2", 22'441'192},
    {"vit_small_patch14_reg4_dinov2", 22'442'344},
    {"vit_base_patch14_dinov2", 87'348'712},
    {"vit_base_patch14_reg4_dinov2", 87'351'016},
    {"vit_large_patch14_dinov2", 305'392'616},
    {"vit_large_patch14_reg4_dinov2", 305'395'688},
    {"vit_so400m_patch14_siglip_gap_224", 413'595'352},
    {"vit_so400m_patch14_siglip_gap_378", 414'140'248},
    {"vit_so400m_patch16_siglip_gap_256", 413'802'712},
    {"vit_so400m_patch16_siglip_gap_384", 414'171'352},
    {"vit_so400m_patch16_siglip_gap_512", 414'687'448},
    {"vit_base_patch16_siglip_gap_224", 86'566'120},
    {"vit_base_patch16_siglip_gap_256", 86'612'200},
    {"vit_base_patch16_siglip_gap_384", 86'857'960},
    {"vit_base_patch16_siglip_gap_512", 87'202'024},
    // The architectures of the lines above, with other preprocessing.
    {"vit_tiny_patch16_224_augreg", 5'717'416},
    {"vit_small_patch16_224_augreg", 22'050'664},
    {"vit_base_patch16_224_augreg", 86'567'656},
    {"vit_large_patch16_224_augreg", 304'326'632},
    // vit_small_patch16_224 without its class token and its learned positions.
    {"big_vision_vit_s16", 22'050'664 - 384 - 197 * 384},
    // As published with the models.
    {"minivit_tiny_patch16_224", 3'041'320},
    {"minivit_mini_patch16_224", 5'701'288},
    // Patch projection, six blocks (two BatchNorms, qkv, MLP), flattened head.
    {"vit_batch_norm_patch4_32", 49 * 256 + 6 * (4 * 256 + 3 * 256 * 256 + 257 * 512 + 513 * 256) +
                                     (64 * 256 + 1) * 256 + 257 * 1000},
    {"vit_batch_norm_patch8_32", 193 * 256 + 6 * (4 * 256 + 3 * 256 * 256 + 257 * 512 + 513 * 256) +
                                     (16 * 256 + 1) * 256 + 257 * 1000},
};

TEST(ModelConfigTest, PresetsHaveTheirPublishedParameterCounts) {
  for (const vit::v1::Preset& preset : ModelPresets()) {
    const std::string& name = preset.name();
    ASSERT_TRUE(kParameterCounts.contains(name)) << name;
    const vit::v1::ModelConfig config = Preset(name, 1000);
    EXPECT_TRUE(ValidateModelConfig(config).ok()) << name << ": " << ValidateModelConfig(config);
    EXPECT_EQ(ParameterCount(config), kParameterCounts.at(name)) << name;
  }
  EXPECT_EQ(ModelPresets().size(), kParameterCounts.size());
}

TEST(ModelConfigTest, CountedParametersAreTheAllocatedOnes) {
  for (const char* overrides :
       {"", "class_token: false global_pool: GLOBAL_POOL_AVG", "global_pool: GLOBAL_POOL_AVG",
        "qkv_bias: false mlp_ratio: 2.5", "pre_norm: true qk_norm: true patch_width: 4",
        "reg_tokens: 3 no_embed_class: true init_values: 0.1",
        "distillation_token: true representation_size: 5",
        "pos_embed: POSITION_EMBEDDING_SINCOS_2D proj_bias: false",
        "pos_embed: POSITION_EMBEDDING_NONE final_norm: false",
        "shared_norm: true patch_norm: true global_pool: GLOBAL_POOL_MAX",
        "reg_tokens: 2 global_pool: GLOBAL_POOL_FLATTEN",
        "reg_tokens: 2 global_pool: GLOBAL_POOL_TOKEN_AND_AVG activation: ACTIVATION_GELU_TANH",
        "activation: ACTIVATION_QUICK_GELU",
        "norm_layer: NORM_LAYER_BATCH_NORM attn_proj: false "
        "global_pool: GLOBAL_POOL_FLATTEN representation_size: 9"}) {
    vit::v1::ModelConfig config;
    ASSERT_TRUE(ParseMessageText(overrides, &config).ok());
    config.set_image_size(32);
    config.set_patch_size(8);
    config.set_embed_dim(24);
    config.set_depth(3);
    config.set_num_heads(2);
    FillModelDefaults(7, &config);
    ASSERT_TRUE(ValidateModelConfig(config).ok());
    VisionTransformer model(config);
    int64_t count = 0;
    for (const auto& parameter : model->parameters()) count += parameter.numel();
    EXPECT_EQ(ParameterCount(config), count) << overrides;
    torch::NoGradGuard no_grad;
    model->Initialize(1);
    EXPECT_EQ(model->forward(at::zeros({2, 3, 32, 32})).sizes(), at::IntArrayRef({2, 7}))
        << overrides;
  }
}

TEST(ModelConfigTest, TokenAndMeanNeedsItsTokenAndNormalisedTokens) {
  vit::v1::ModelConfig config;
  config.set_global_pool(vit::v1::GLOBAL_POOL_TOKEN_AND_AVG);
  FillModelDefaults(3, &config);
  EXPECT_TRUE(ValidateModelConfig(config).ok()) << ValidateModelConfig(config);
  config.set_fc_norm(true);
  EXPECT_THAT(std::string(ValidateModelConfig(config).message()),
              HasSubstr("set model.fc_norm=false"));
  config.set_fc_norm(false);
  config.set_class_token(false);
  EXPECT_THAT(std::string(ValidateModelConfig(config).message()),
              HasSubstr("set model.global_pool=avg"));
}

TEST(ModelConfigTest, AnEncoderHasNoHead) {
  vit::v1::ModelConfig config;
  FillModelDefaults(3, &config);
  config.set_num_classes(0);
  EXPECT_TRUE(ValidateModelConfig(config).ok()) << ValidateModelConfig(config);
  int64_t count = 0;
  const VisionTransformer model(config);
  for (const auto& parameter : model->parameters()) count += parameter.numel();
  EXPECT_EQ(ParameterCount(config), count);
}

struct BadConfig {
  const char* assignment;
  const char* message;
};

TEST(ModelConfigTest, WhatCannotWorkNamesTheFieldAndTheWayOut) {
  for (const BadConfig& bad : {
           BadConfig{"model.embed_dim=100",
                     "model.embed_dim is 100, not a multiple of model.num_heads 3; 99 and 102 are"},
           BadConfig{"model.image_size=225",
                     "model.image_size is 225, not a multiple of model.patch_size 16"},
           BadConfig{"model.patch_size=0", "model.patch_size is 0"},
           BadConfig{"model.depth=-1", "model.depth is -1; expected 1 to"},
           BadConfig{"model.drop_path_rate=1",
                     "model.drop_path_rate is 1; expected at least 0, below 1"},
           BadConfig{"model.proj_drop_rate=nan", "model.proj_drop_rate is nan"},
           BadConfig{"model.mlp_ratio=0", "model.mlp_ratio is 0"},
           BadConfig{"model.in_channels=1", "model.in_channels is 1"},
           BadConfig{"model.class_token=false", "set model.global_pool=avg"},
           BadConfig{"model.num_classes=-1", "model.num_classes is -1"},
       }) {
    vit::v1::TrainingSpec spec;
    *spec.mutable_model() = Preset("vit_tiny_patch16_224", 1000);
    ASSERT_TRUE(SetField(bad.assignment, &spec).ok());
    const absl::Status status = ValidateModelConfig(spec.model());
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.assignment;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
  }
}

}  // namespace
}  // namespace vit
