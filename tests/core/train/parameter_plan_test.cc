#include "core/train/optim/parameter_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/compute/named_tensors.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/optim/optimizer.h"
#include "core/train/optim/optimizer_config.h"
#include "core/train/training_step.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

vit::v1::ModelConfig SmallModel(const std::string& text = "") {
  vit::v1::ModelConfig model;
  EXPECT_TRUE(
      ParseMessageText("image_size: 32 patch_size: 4 embed_dim: 24 depth: 3 num_heads: 2 " + text,
                       &model)
          .ok());
  FillModelDefaults(10, &model);
  return model;
}

vit::v1::OptimizerConfig Effective(const std::string& text) {
  vit::v1::OptimizerConfig config;
  const absl::Status status = ParseMessageText(text, &config);
  EXPECT_TRUE(status.ok()) << status;
  FillOptimizerDefaults(128, &config);
  return config;
}

std::map<std::string, ParameterTreatment> Plan(const std::string& optimizer,
                                               const std::string& model = "") {
  const VisionTransformer module(SmallModel(model));
  const auto plan = PlanParameters(Effective(optimizer), *module);
  EXPECT_TRUE(plan.ok()) << plan.status();
  std::map<std::string, ParameterTreatment> by_name;
  for (const ParameterTreatment& parameter : plan.value()) by_name[parameter.name] = parameter;
  return by_name;
}

// tests/data/make_recipe_reference.py made the reference.
TEST(ParameterPlanTest, LayerDecayEqualsTimms) {
  auto file = ReadSafetensors(std::filesystem::path(VIT_SOURCE_DIR) /
                              "tests/data/recipes/layer_decay.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  size_t compared = 0;
  for (const auto& [name, model] :
       {std::pair("vit", "reg_tokens: 2 init_values: 0.1"),
        std::pair("vit_avg_pre_norm",
                  "class_token: false global_pool: GLOBAL_POOL_AVG fc_norm: true pre_norm: true"),
        std::pair("deit_distilled", "distillation_token: true")}) {
    for (const auto& [parameter, treatment] : Plan("layer_decay: 0.75", model)) {
      const std::string key = absl::StrCat(name, "/", parameter);
      ASSERT_TRUE(file->tensors.contains(key)) << key;
      EXPECT_DOUBLE_EQ(treatment.learning_rate_multiplier, file->tensors.at(key).item<double>())
          << key;
      ++compared;
    }
  }
  EXPECT_EQ(compared, file->tensors.size());
}

TEST(ParameterPlanTest, MultipliersComeFromTheFirstGroupThenLayersThenTheEncoder) {
  const auto plan = Plan(R"(
      weight_decay: 0.1 layer_decay: 0.5 encoder_learning_rate_multiplier: 0.01
      groups { parameters: ["blocks.[01].*", "head.*"] learning_rate_multiplier: 3 }
      groups { parameters: "*.weight" learning_rate_multiplier: 7 weight_decay_multiplier: 2 })");
  const auto expect = [&](const std::string& name, double multiplier, double decay) {
    EXPECT_DOUBLE_EQ(plan.at(name).learning_rate_multiplier, multiplier) << name;
    EXPECT_DOUBLE_EQ(plan.at(name).weight_decay, decay) << name;
  };
  expect("head.weight", 3, 0.1);
  expect("head.bias", 3, 0);
  expect("blocks.1.attn.qkv.weight", 3 * 0.01 * 0.25, 0.1);
  expect("blocks.2.attn.qkv.weight", 7 * 0.01 * 0.5, 0.2);
  expect("blocks.2.norm1.weight", 7 * 0.01 * 0.5, 0);
  expect("blocks.2.attn.qkv.bias", 0.01 * 0.5, 0);
  expect("pos_embed", 0.01 * 0.0625, 0);
}

TEST(ParameterPlanTest, WithoutRulesThereAreTwoGroupsInTheModulesOrder) {
  for (const double weight_decay : {0.05, 0.0}) {
    VisionTransformer model(SmallModel());
    const auto groups =
        FlattenParameters(*model, Effective(absl::StrCat("weight_decay: ", weight_decay)));
    ASSERT_EQ(groups.size(), 2);
    EXPECT_EQ(groups[0].weight_decay, weight_decay);
    EXPECT_EQ(groups[1].weight_decay, 0);
    std::vector<std::string> names[2], expected[2];
    for (const auto& item : model->named_parameters()) {
      expected[HasWeightDecay(item.key(), item.value()) ? 0 : 1].push_back(item.key());
    }
    for (int g = 0; g < 2; ++g) {
      EXPECT_EQ(groups[g].learning_rate_multiplier, 1);
      for (const auto& member : groups[g].members) names[g].push_back(member.name);
      EXPECT_EQ(names[g], expected[g]);
    }
  }
}

TEST(ParameterPlanTest, ParametersOfOneTreatmentShareATensor) {
  VisionTransformer model(SmallModel());
  const auto groups = FlattenParameters(*model, Effective(R"(
      groups { parameters: "head.*" learning_rate_multiplier: 10 }
      groups { parameters: "blocks.0.*" learning_rate_multiplier: 10 })"));
  EXPECT_EQ(groups.size(), 4);  // ten times and once, each with and without decay
}

// One update of a model with dropout in every block.
struct Update {
  explicit Update(const std::string& optimizer) : model(SmallModel("proj_drop_rate: 0.1")) {
    *spec.mutable_model() = model->config();
    *spec.mutable_optimizer() = Effective(optimizer);
    spec.set_accumulation_steps(1);
    spec.set_clip_grad_norm(1e9);
    spec.set_precision(vit::v1::PRECISION_FLOAT32);
    model->Initialize(3);
    model->train();
    for (const auto& item : model->named_parameters()) {
      before[item.key()] = item.value().detach().clone();
    }
    step = std::make_unique<TrainingStep>(spec, model.get(), StepCounts{.total = 20});
    torch::manual_seed(1);
    step->Run(at::randn({4, 3, 32, 32}), at::arange(4), {0, 1, 2, 3}, 4, 0);
  }
  VisionTransformer model;
  vit::v1::TrainingSpec spec;
  TensorMap before;
  std::unique_ptr<TrainingStep> step;
};

TEST(ParameterPlanTest, FrozenParametersHaveNoGradientNoStateAndNoPartInTheNorm) {
  const char kFrozen[] =
      R"(type: OPTIMIZER_TYPE_SGD momentum: 0.9
         frozen: ["*_token", "pos_embed", "patch_embed.*", "blocks.[01].*"])";
  Update frozen(kFrozen), whole("type: OPTIMIZER_TYPE_SGD momentum: 0.9");
  double squares = 0;
  for (const auto& item : frozen.model->named_parameters()) {
    const bool trained = item.key().starts_with("blocks.2.") || item.key().starts_with("norm.") ||
                         item.key().starts_with("head.");
    EXPECT_EQ(item.value().requires_grad(), trained) << item.key();
    EXPECT_EQ(item.value().grad().defined(), trained) << item.key();
    EXPECT_EQ(at::equal(item.value(), frozen.before.at(item.key())), !trained) << item.key();
    if (!trained) continue;
    // What is trained gets the same gradient as in the whole model.
    const at::Tensor gradient = whole.model->named_parameters()[item.key()].grad();
    EXPECT_LT((item.value().grad() - gradient).abs().max().item<double>(), 1e-7) << item.key();
    squares += gradient.square().sum().item<double>();
  }
  EXPECT_NEAR(frozen.step->GradNorm(), std::sqrt(squares), 1e-5 * std::sqrt(squares));
  EXPECT_LT(frozen.step->GradNorm(), whole.step->GradNorm());
  for (const auto& [name, tensor] : frozen.step->optimizer().State()) {
    EXPECT_THAT(name,
                ::testing::AnyOf(HasSubstr("blocks.2."), HasSubstr(".norm."), HasSubstr(".head.")));
  }
}

TEST(ParameterPlanTest, TheBackwardPassStopsWhereTheFrozenPartEnds) {
  Update frozen(R"(frozen: ["*_token", "pos_embed", "patch_embed.*", "blocks.0.*", "blocks.1.*"])");
  const at::Tensor images = at::randn({2, 3, 32, 32});
  EXPECT_TRUE(frozen.model->ForwardFeatures(images).requires_grad());
  // With the trained part frozen too, nothing before it requires a gradient.
  for (const auto& item : frozen.model->named_parameters()) {
    if (item.key().starts_with("blocks.2.") || item.key().starts_with("norm.")) {
      item.value().set_requires_grad(false);
    }
  }
  EXPECT_FALSE(frozen.model->ForwardFeatures(images).requires_grad());
}

TEST(ParameterPlanTest, TheTrainedPartIsWhatIsNotFrozen) {
  const auto part = [](const std::string& optimizer) {
    vit::v1::TrainingSpec spec;
    *spec.mutable_model() = SmallModel();
    *spec.mutable_optimizer() = Effective(optimizer);
    const auto found = FindTrainedPart(spec);
    EXPECT_TRUE(found.ok()) << found.status();
    return std::pair(found->parameters, found->blocks);
  };
  const int64_t all = ParameterCount(SmallModel());
  const int64_t head = 24 * 10 + 10;
  EXPECT_EQ(part(""), std::pair(all, int64_t{3}));
  EXPECT_EQ(part("layer_decay: 0.5"), std::pair(all, int64_t{3}));
  EXPECT_EQ(part("frozen: 'head.*'"), std::pair(all - head, int64_t{3}));
  EXPECT_EQ(part("frozen: ['blocks.*', '*_token', 'pos_embed', 'patch_embed.*', 'norm.*']"),
            std::pair(head, int64_t{0}));
  EXPECT_EQ(part("frozen: 'blocks.*'").second, 3);  // tokens and positions are trained
  EXPECT_EQ(part("frozen: ['blocks.[01].*', '*_token', 'pos_embed', 'patch_embed.*']").second, 1);
}

TEST(ParameterPlanTest, WhatHasNoEffectIsRefused) {
  struct Bad {
    std::string optimizer, message;
  };
  const VisionTransformer model(SmallModel());
  for (const Bad& bad : {
           Bad{"frozen: 'block.*'",
               "optimizer.frozen: 'block.*' names no parameter of the model; did you mean "
               "'blocks.*'?"},
           Bad{"frozen: '*.bais'", "did you mean '*.bias'?"},
           Bad{"frozen: 'blocks.3.*'", "did you mean 'blocks."},
           Bad{"frozen: 'encoder.layer.0.attention'",
               "their names begin with blocks, cls_token, head, norm, patch_embed, pos_embed"},
           Bad{"frozen: '*'", "nothing is left to train"},
           Bad{"groups { parameters: 'haed.*' }",
               "optimizer.groups[0].parameters: 'haed.*' names no parameter of the model; did you "
               "mean 'head.*'?"},
           Bad{"groups { parameters: 'head.*' } groups { parameters: ['norm.*', 'head.bias'] }",
               "optimizer.groups[1].parameters: 'head.bias' has no effect: its parameters are all "
               "frozen or in an earlier group"},
           Bad{"frozen: 'norm.*' groups { parameters: 'norm.*' }", "are all frozen"},
           Bad{"groups { parameters: '*.bias' weight_decay_multiplier: 2 }",
               "optimizer.groups[0].weight_decay_multiplier has no effect"},
           Bad{"frozen: ['blocks.*', '*_token', 'pos_embed', 'patch_embed.*', 'norm.*'] "
               "encoder_learning_rate_multiplier: 0.1",
               "optimizer.encoder_learning_rate_multiplier is 0.1, but all parameters outside the "
               "heads are frozen"},
       }) {
    const absl::Status status = PlanParameters(Effective(bad.optimizer), *model).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.optimizer;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
  }
}

TEST(ParameterPlanTest, LayerDecayNeedsBlocks) {
  torch::nn::Module plain;
  plain.register_parameter("weight", at::ones({2, 2}));
  EXPECT_TRUE(PlanParameters(Effective("layer_decay: 1"), plain).ok());
  const absl::Status status = PlanParameters(Effective("layer_decay: 0.9"), plain).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("optimizer.layer_decay is 0.9, but the model has no blocks"));
}

}  // namespace
}  // namespace vit
