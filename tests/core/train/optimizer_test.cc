#include "core/train/optim/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "core/base/compute/named_tensors.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/safetensors.h"

namespace vit {
namespace {

// A matrix that decays and a bias that does not.
struct TwoParametersImpl : torch::nn::Module {
  TwoParametersImpl() {
    weight = register_parameter("weight", at::linspace(-1, 1, 15).view({3, 5}));
    bias = register_parameter("bias", at::linspace(0.5, 1, 5));
  }
  at::Tensor weight, bias;
};
TORCH_MODULE(TwoParameters);

vit::v1::OptimizerConfig AdamWConfig() {
  vit::v1::OptimizerConfig config;
  config.set_type(vit::v1::OPTIMIZER_TYPE_ADAMW);
  config.set_beta1(0.9);
  config.set_beta2(0.99);
  config.set_eps(1e-8);
  config.set_weight_decay(0.1);
  return config;
}

vit::v1::OptimizerConfig SgdConfig(double momentum, bool nesterov) {
  vit::v1::OptimizerConfig config;
  config.set_type(vit::v1::OPTIMIZER_TYPE_SGD);
  config.set_momentum(momentum);
  config.set_nesterov(nesterov);
  config.set_weight_decay(0.1);
  return config;
}

const at::Tensor kOne = at::ones({});
const at::Tensor kZero = at::zeros({});

// The gradient of step `step` for a parameter like `like`.
at::Tensor Gradient(const at::Tensor& like, int step) {
  return at::sin(at::arange(like.numel(), at::kFloat) * 0.7 + step).view_as(like);
}

vit::v1::OptimizerConfig Config(vit::v1::OptimizerType type) {
  vit::v1::OptimizerConfig config = AdamWConfig();
  config.set_type(type);
  if (type == vit::v1::OPTIMIZER_TYPE_LAMB) config.set_eps(1e-6);
  return config;
}

std::vector<vit::v1::OptimizerConfig> EveryConfig() {
  return {AdamWConfig(), Config(vit::v1::OPTIMIZER_TYPE_ADAM), SgdConfig(0.9, true),
          Config(vit::v1::OPTIMIZER_TYPE_LAMB), Config(vit::v1::OPTIMIZER_TYPE_LION)};
}

TEST(OptimizerTest, AdamWFollowsItsFormula) {
  torch::NoGradGuard no_grad;
  TwoParameters module;
  at::Tensor weight = module->weight.clone().to(at::kDouble),
             bias = module->bias.clone().to(at::kDouble);
  auto groups = FlattenParameters(*module, AdamWConfig());
  auto optimizer = Optimizer::Create(AdamWConfig(), &groups);
  at::Tensor wm = at::zeros_like(weight), wv = at::zeros_like(weight), bm = at::zeros_like(bias),
             bv = at::zeros_like(bias);
  const auto reference = [](at::Tensor& p, at::Tensor& m, at::Tensor& v, const at::Tensor& g,
                            double decay, int t) {
    const double lr = 0.01;
    m = 0.9 * m + 0.1 * g;
    v = 0.99 * v + 0.01 * g * g;
    p = p - lr * decay * p -
        lr * (m / (1 - std::pow(0.9, t))) / ((v / (1 - std::pow(0.99, t))).sqrt() + 1e-8);
  };
  for (int step = 0; step < 10; ++step) {
    module->weight.mutable_grad().copy_(Gradient(weight, step));
    module->bias.mutable_grad().copy_(Gradient(bias, step));
    optimizer->Step(0.01, kOne, kZero);
    reference(weight, wm, wv, Gradient(weight, step).to(at::kDouble), 0.1, step + 1);
    reference(bias, bm, bv, Gradient(bias, step).to(at::kDouble), 0, step + 1);
  }
  EXPECT_LT((module->weight - weight).abs().max().item<double>(), 1e-6);
  EXPECT_LT((module->bias - bias).abs().max().item<double>(), 1e-6);
}

// Compares 20 steps of `config` with LibTorch's optimizer of `options`, which has its own
// weight_decay.
template <typename Reference, typename Options>
void ExpectLibTorchs(const vit::v1::OptimizerConfig& config, Options options) {
  TwoParameters module, reference;
  auto groups = FlattenParameters(*module, config);
  auto optimizer = Optimizer::Create(config, &groups);
  Reference matrix({reference->weight}, Options(options).weight_decay(config.weight_decay()));
  Reference vector({reference->bias}, Options(options).weight_decay(0));
  torch::NoGradGuard no_grad;
  for (int step = 0; step < 20; ++step) {
    module->weight.mutable_grad().copy_(Gradient(module->weight, step));
    module->bias.mutable_grad().copy_(Gradient(module->bias, step));
    reference->weight.mutable_grad() = Gradient(module->weight, step);
    reference->bias.mutable_grad() = Gradient(module->bias, step);
    optimizer->Step(options.lr(), kOne, kZero);
    matrix.step();
    vector.step();
  }
  EXPECT_LT((module->weight - reference->weight).abs().max().template item<double>(), 1e-6);
  EXPECT_LT((module->bias - reference->bias).abs().max().template item<double>(), 1e-6);
}

TEST(OptimizerTest, AdamAndAdamWEqualLibTorchs) {
  ExpectLibTorchs<torch::optim::AdamW>(
      AdamWConfig(), torch::optim::AdamWOptions(0.01).betas({0.9, 0.99}).eps(1e-8));
  ExpectLibTorchs<torch::optim::Adam>(Config(vit::v1::OPTIMIZER_TYPE_ADAM),
                                      torch::optim::AdamOptions(0.01).betas({0.9, 0.99}).eps(1e-8));
}

// tests/data/make_recipe_reference.py made the reference.
TEST(OptimizerTest, LambAndLionFollowTimms) {
  torch::NoGradGuard no_grad;
  auto file = ReadSafetensors(std::filesystem::path(VIT_SOURCE_DIR) /
                              "tests/data/recipes/optimizers.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto& tensors = file->tensors;
  vit::v1::OptimizerConfig always_adapt = Config(vit::v1::OPTIMIZER_TYPE_LAMB);
  always_adapt.set_always_adapt(true);
  for (const auto& [name, config] : {std::pair("lamb", Config(vit::v1::OPTIMIZER_TYPE_LAMB)),
                                     std::pair("lamb_always_adapt", always_adapt),
                                     std::pair("lion", Config(vit::v1::OPTIMIZER_TYPE_LION))}) {
    TwoParameters module;
    module->weight.copy_(tensors.at("weight"));
    module->bias.copy_(tensors.at("bias"));
    auto groups = FlattenParameters(*module, config);
    auto optimizer = Optimizer::Create(config, &groups);
    for (int step = 0; step < 20; ++step) {
      module->weight.mutable_grad().copy_(tensors.at("weight_gradients")[step]);
      module->bias.mutable_grad().copy_(tensors.at("bias_gradients")[step]);
      optimizer->Step(tensors.at("rates")[step].item<double>(), kOne, kZero);
      for (const auto& [value, suffix] :
           {std::pair(module->weight, ".weight"), std::pair(module->bias, ".bias")}) {
        const at::Tensor expected = tensors.at(std::string(name) + suffix)[step];
        EXPECT_LT((value - expected).abs().max().item<double>(), 1e-6)
            << name << suffix << " after step " << step;
      }
    }
  }
}

TEST(OptimizerTest, SgdEqualsLibTorchs) {
  for (const auto& [momentum, nesterov] :
       {std::pair(0.0, false), std::pair(0.9, false), std::pair(0.9, true)}) {
    TwoParameters module, reference;
    auto groups = FlattenParameters(*module, SgdConfig(momentum, nesterov));
    auto optimizer = Optimizer::Create(SgdConfig(momentum, nesterov), &groups);
    torch::optim::SGD matrix(
        {reference->weight},
        torch::optim::SGDOptions(0.05).momentum(momentum).nesterov(nesterov).weight_decay(0.1));
    torch::optim::SGD vector({reference->bias},
                             torch::optim::SGDOptions(0.05).momentum(momentum).nesterov(nesterov));
    for (int step = 0; step < 5; ++step) {
      torch::NoGradGuard no_grad;
      module->weight.mutable_grad().copy_(Gradient(module->weight, step));
      module->bias.mutable_grad().copy_(Gradient(module->bias, step));
      reference->weight.mutable_grad() = Gradient(module->weight, step);
      reference->bias.mutable_grad() = Gradient(module->bias, step);
      optimizer->Step(0.05, kOne, kZero);
      matrix.step();
      vector.step();
    }
    EXPECT_LT((module->weight - reference->weight).abs().max().item<double>(), 1e-6)
        << momentum << nesterov;
    EXPECT_LT((module->bias - reference->bias).abs().max().item<double>(), 1e-6)
        << momentum << nesterov;
  }
}

TEST(OptimizerTest, GradScaleDividesTheGradient) {
  torch::NoGradGuard no_grad;
  for (const auto& config : EveryConfig()) {
    TwoParameters scaled, plain;
    auto scaled_groups = FlattenParameters(*scaled, config),
         plain_groups = FlattenParameters(*plain, config);
    auto a = Optimizer::Create(config, &scaled_groups),
         b = Optimizer::Create(config, &plain_groups);
    for (int step = 0; step < 3; ++step) {
      scaled->weight.mutable_grad().copy_(Gradient(scaled->weight, step) * 4);
      plain->weight.mutable_grad().copy_(Gradient(plain->weight, step));
      a->Step(0.1, at::full({}, 4.0f), kZero);
      b->Step(0.1, kOne, kZero);
    }
    EXPECT_TRUE(at::equal(scaled->weight, plain->weight)) << config.DebugString();
  }
}

TEST(OptimizerTest, AGradientThatIsNotFiniteChangesNothing) {
  torch::NoGradGuard no_grad;
  for (const auto& config : EveryConfig()) {
    TwoParameters module;
    auto groups = FlattenParameters(*module, config);
    auto optimizer = Optimizer::Create(config, &groups);
    // Before the first update and after one.
    const at::Tensor infinity = at::full({}, std::numeric_limits<float>::infinity());
    const at::Tensor first = module->weight.clone();
    module->weight.mutable_grad().fill_(std::numeric_limits<float>::quiet_NaN());
    optimizer->Step(0.1, infinity, kOne);
    EXPECT_TRUE(at::equal(module->weight, first)) << config.DebugString();
    module->weight.mutable_grad().fill_(1);
    module->bias.mutable_grad().zero_();
    optimizer->Step(0.1, kOne, kZero);
    EXPECT_FALSE(at::equal(module->weight, first)) << config.DebugString();
    const at::Tensor before = module->weight.clone();
    NamedTensors state;
    for (const auto& [name, tensor] : optimizer->State()) state.emplace_back(name, tensor.clone());
    module->weight.mutable_grad().fill_(std::numeric_limits<float>::infinity());
    optimizer->Step(0.1, infinity, kOne);
    EXPECT_TRUE(at::equal(module->weight, before)) << config.DebugString();
    const NamedTensors after = optimizer->State();
    for (size_t i = 0; i < state.size(); ++i) {
      EXPECT_TRUE(at::equal(after[i].second, state[i].second)) << state[i].first;
    }
  }
}

TEST(OptimizerTest, StateGoesIntoAFreshOptimizer) {
  torch::NoGradGuard no_grad;
  for (const auto& config : EveryConfig()) {
    TwoParameters first, second;
    auto first_groups = FlattenParameters(*first, config),
         second_groups = FlattenParameters(*second, config);
    auto a = Optimizer::Create(config, &first_groups),
         b = Optimizer::Create(config, &second_groups);
    first->weight.mutable_grad().fill_(1);
    a->Step(0.1, kOne, kZero);
    TensorMap state;
    for (const auto& [name, tensor] : a->State()) state[name] = tensor.clone();
    ASSERT_TRUE(b->LoadState(state).ok());
    second->weight.copy_(first->weight);
    second->bias.copy_(first->bias);
    first->weight.mutable_grad().copy_(Gradient(first->weight, 1));
    second->weight.mutable_grad().copy_(Gradient(first->weight, 1));
    first->bias.mutable_grad().zero_();
    second->bias.mutable_grad().zero_();
    a->Step(0.1, kOne, kZero);
    b->Step(0.1, kOne, kZero);
    EXPECT_TRUE(at::equal(first->weight, second->weight)) << config.DebugString();
    const std::string name = a->State().back().first;
    state.erase(name);
    EXPECT_EQ(b->LoadState(state).code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(OptimizerTest, AGroupsMultiplierScalesItsStep) {
  torch::NoGradGuard no_grad;
  for (vit::v1::OptimizerConfig config : EveryConfig()) {
    TwoParameters slow, plain;
    auto plain_groups = FlattenParameters(*plain, config);
    auto* group = config.add_groups();
    group->add_parameters("weight");
    group->set_learning_rate_multiplier(0.25);
    group->set_weight_decay_multiplier(3);
    auto slow_groups = FlattenParameters(*slow, config);
    auto a = Optimizer::Create(config, &slow_groups), b = Optimizer::Create(config, &plain_groups);
    plain_groups[0].weight_decay *= 3;
    for (int step = 0; step < 3; ++step) {
      for (TwoParametersImpl* module : {slow.get(), plain.get()}) {
        module->weight.mutable_grad().copy_(Gradient(module->weight, step));
        module->bias.mutable_grad().copy_(Gradient(module->bias, step));
      }
      a->Step(0.4, kOne, kZero);
      b->Step(0.1, kOne, kZero);
    }
    EXPECT_TRUE(at::equal(slow->weight, plain->weight)) << config.DebugString();
    EXPECT_FALSE(at::equal(slow->bias, plain->bias)) << config.DebugString();
  }
}

}  // namespace
}  // namespace vit
