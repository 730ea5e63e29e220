#include "core/weights/load_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

class LoadWeightsTest : public ::testing::Test {
 protected:
  static VisionTransformer MakeModel(int classes, uint64_t seed) {
    vit::v1::ModelConfig config;
    config.set_image_size(16);
    config.set_patch_size(8);
    config.set_embed_dim(8);
    config.set_depth(1);
    config.set_num_heads(2);
    FillModelDefaults(classes, &config);
    VisionTransformer model(config);
    model->Initialize(seed);
    return model;
  }
  static TensorMap Weights(VisionTransformer& model) {
    TensorMap weights;
    for (const auto& item : model->named_parameters()) {
      weights[item.key()] = item.value().detach().clone();
    }
    return weights;
  }
};

TEST_F(LoadWeightsTest, CopiesEveryParameter) {
  VisionTransformer source = MakeModel(3, 1), target = MakeModel(3, 2);
  ASSERT_TRUE(LoadWeights(Weights(source), *target).ok());
  const auto expected = Weights(source);
  for (const auto& item : target->named_parameters()) {
    EXPECT_TRUE(at::equal(item.value(), expected.at(item.key())));
  }
}

TEST_F(LoadWeightsTest, OtherPrecisionsAreConverted) {
  VisionTransformer source = MakeModel(3, 1), target = MakeModel(3, 2);
  auto weights = Weights(source);
  for (auto& [name, tensor] : weights) tensor = tensor.to(at::kDouble);
  ASSERT_TRUE(LoadWeights(weights, *target).ok());
  EXPECT_TRUE(
      at::equal(target->named_parameters()["pos_embed"], source->named_parameters()["pos_embed"]));
}

TEST_F(LoadWeightsTest, WhatDoesNotFitIsNamedAndNothingIsCopied) {
  VisionTransformer source = MakeModel(3, 1), target = MakeModel(3, 2);
  const auto before = Weights(target);
  auto weights = Weights(source);
  weights.erase("norm.bias");
  weights["extra.weight"] = at::ones({1});
  weights["pos_embed"] = at::ones({1, 9, 8});
  const absl::Status status = LoadWeights(weights, *target);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string message(status.message());
  EXPECT_THAT(message, HasSubstr("missing norm.bias"));
  EXPECT_THAT(message, HasSubstr("not in the model: extra.weight"));
  EXPECT_THAT(message, HasSubstr("pos_embed (file [1, 9, 8], model [1, 5, 8])"));
  for (const auto& item : target->named_parameters()) {
    EXPECT_TRUE(at::equal(item.value(), before.at(item.key())));
  }
}

TEST_F(LoadWeightsTest, AHeadOfOtherClassesStartsAnew) {
  VisionTransformer source = MakeModel(3, 1), target = MakeModel(5, 2);
  const at::Tensor head = target->named_parameters()["head.weight"].detach().clone();
  const auto note = LoadInitialWeights(Weights(source), *target);
  ASSERT_TRUE(note.ok()) << note.status();
  EXPECT_EQ(*note, "the head is new: the weights have 3 classes, the data has 5");
  EXPECT_TRUE(at::equal(target->named_parameters()["head.weight"], head));
  EXPECT_TRUE(
      at::equal(target->named_parameters()["pos_embed"], source->named_parameters()["pos_embed"]));
  EXPECT_FALSE(LoadWeights(Weights(source), *target).ok());
}

TEST_F(LoadWeightsTest, AFittingHeadIsKept) {
  VisionTransformer source = MakeModel(3, 1), target = MakeModel(3, 2);
  const auto note = LoadInitialWeights(Weights(source), *target);
  ASSERT_TRUE(note.ok());
  EXPECT_EQ(*note, "");
  EXPECT_TRUE(at::equal(target->named_parameters()["head.weight"],
                        source->named_parameters()["head.weight"]));
}

}  // namespace
}  // namespace vit
