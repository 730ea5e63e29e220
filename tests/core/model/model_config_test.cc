#include "core/model/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/model/vision_transformer.h"
#include "proto/spec_text.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

vit::v1::ModelConfig Preset(const std::string& name, int num_classes) {
  for (const auto& [preset, text] : ModelPresetTexts()) {
    if (preset != name) continue;
    vit::v1::TrainingSpec spec;
    EXPECT_TRUE(ParseMessageText(text, &spec).ok());
    FillModelConfigDefaults(num_classes, spec.mutable_model());
    return spec.model();
  }
  ADD_FAILURE() << "no preset " << name;
  return {};
}

TEST(ModelConfigTest, PresetsHaveTheirPublishedParameterCounts) {
  // timm 1.0: sum(p.numel() for p in timm.create_model(name).parameters()), 1000 classes.
  EXPECT_EQ(ParameterCount(Preset("vit_tiny_patch16_224", 1000)), 5'717'416);
  EXPECT_EQ(ParameterCount(Preset("vit_small_patch16_224", 1000)), 22'050'664);
  EXPECT_EQ(ParameterCount(Preset("vit_base_patch16_224", 1000)), 86'567'656);
  EXPECT_EQ(ParameterCount(Preset("vit_base_patch32_224", 1000)), 88'224'232);
  EXPECT_EQ(ParameterCount(Preset("vit_large_patch16_224", 1000)), 304'326'632);
  EXPECT_EQ(ParameterCount(Preset("vit_huge_patch14_224", 1000)), 632'045'800);
}

TEST(ModelConfigTest, CountedParametersAreTheAllocatedOnes) {
  for (const char* overrides : {"", "class_token: false global_pool: GLOBAL_POOL_AVG",
                                "global_pool: GLOBAL_POOL_AVG", "qkv_bias: false mlp_ratio: 2.5"}) {
    vit::v1::ModelConfig config;
    ASSERT_TRUE(ParseMessageText(overrides, &config).ok());
    config.set_image_size(32);
    config.set_patch_size(8);
    config.set_embed_dim(24);
    config.set_depth(3);
    config.set_num_heads(2);
    FillModelConfigDefaults(7, &config);
    ASSERT_TRUE(ValidateModelConfig(config).ok());
    VisionTransformer model(config);
    int64_t count = 0;
    for (const auto& parameter : model->parameters()) count += parameter.numel();
    EXPECT_EQ(ParameterCount(config), count) << overrides;
  }
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
           BadConfig{"model.drop_path_rate=1", "model.drop_path_rate is 1; expected a probability"},
           BadConfig{"model.proj_drop_rate=nan", "model.proj_drop_rate is nan"},
           BadConfig{"model.mlp_ratio=0", "model.mlp_ratio is 0"},
           BadConfig{"model.in_channels=1", "model.in_channels is 1"},
           BadConfig{"model.class_token=false", "set model.global_pool=avg"},
           BadConfig{"model.num_classes=0", "model.num_classes is 0"},
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
