#include "core/train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "core/model/vision_transformer.h"

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

TEST(OptimizerTest, AdamWFollowsItsFormula) {
  torch::NoGradGuard no_grad;
  TwoParameters module;
  at::Tensor weight = module->weight.clone().to(at::kDouble),
             bias = module->bias.clone().to(at::kDouble);
  auto groups = FlattenParameters(*module, 0.1);
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

TEST(OptimizerTest, SgdEqualsLibTorchs) {
  for (const auto& [momentum, nesterov] :
       {std::pair(0.0, false), std::pair(0.9, false), std::pair(0.9, true)}) {
    TwoParameters module, reference;
    auto groups = FlattenParameters(*module, 0.1);
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
  TwoParameters scaled, plain;
  auto scaled_groups = FlattenParameters(*scaled, 0), plain_groups = FlattenParameters(*plain, 0);
  auto a = Optimizer::Create(SgdConfig(0, false), &scaled_groups),
       b = Optimizer::Create(SgdConfig(0, false), &plain_groups);
  scaled->weight.mutable_grad().fill_(8);
  plain->weight.mutable_grad().fill_(2);
  a->Step(0.1, at::full({}, 4.0f), kZero);
  b->Step(0.1, kOne, kZero);
  EXPECT_TRUE(at::equal(scaled->weight, plain->weight));
}

TEST(OptimizerTest, AGradientThatIsNotFiniteChangesNothing) {
  torch::NoGradGuard no_grad;
  for (const auto& config : {AdamWConfig(), SgdConfig(0.9, true)}) {
    TwoParameters module;
    auto groups = FlattenParameters(*module, 0.1);
    auto optimizer = Optimizer::Create(config, &groups);
    module->weight.mutable_grad().fill_(1);
    optimizer->Step(0.1, kOne, kZero);
    const at::Tensor before = module->weight.clone();
    NamedTensors state;
    for (const auto& [name, tensor] : optimizer->State()) state.emplace_back(name, tensor.clone());
    module->weight.mutable_grad().fill_(std::numeric_limits<float>::infinity());
    optimizer->Step(0.1, kOne, kOne);
    EXPECT_TRUE(at::equal(module->weight, before));
    const NamedTensors after = optimizer->State();
    for (size_t i = 0; i < state.size(); ++i)
      EXPECT_TRUE(at::equal(after[i].second, state[i].second)) << state[i].first;
  }
}

TEST(OptimizerTest, StateGoesIntoAFreshOptimizer) {
  torch::NoGradGuard no_grad;
  TwoParameters first, second;
  auto first_groups = FlattenParameters(*first, 0.1),
       second_groups = FlattenParameters(*second, 0.1);
  auto a = Optimizer::Create(AdamWConfig(), &first_groups),
       b = Optimizer::Create(AdamWConfig(), &second_groups);
  first->weight.mutable_grad().fill_(1);
  a->Step(0.1, kOne, kZero);
  std::map<std::string, at::Tensor> state;
  for (const auto& [name, tensor] : a->State()) state[name] = tensor.clone();
  ASSERT_TRUE(b->LoadState(state).ok());
  second->weight.copy_(first->weight);
  second->bias.copy_(first->bias);
  first->weight.mutable_grad().fill_(0.5);
  second->weight.mutable_grad().fill_(0.5);
  a->Step(0.1, kOne, kZero);
  b->Step(0.1, kOne, kZero);
  EXPECT_TRUE(at::equal(first->weight, second->weight));
  state.erase("exp_avg.weight");
  EXPECT_EQ(b->LoadState(state).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vit
