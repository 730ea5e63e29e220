#include "core/model/add_norm.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <optional>
#include <vector>

#include "tests/core/model/testing.h"

namespace vit {
namespace {

constexpr double kEps = 1e-6;

struct Case {
  std::vector<int64_t> shape;
  std::optional<at::ScalarType> branch;  // none for no branch
  bool branch_bias;
  at::ScalarType normalized;
};

struct Inputs {
  Residual residual;
  at::Tensor weight, bias;

  std::vector<at::Tensor> all() const {
    std::vector<at::Tensor> given;
    for (const at::Tensor& input :
         {residual.x, residual.branch.product, residual.branch.bias, weight, bias}) {
      if (input.defined()) given.push_back(input);
    }
    return given;
  }
};

Inputs Draw(const Case& of) {
  torch::manual_seed(5);
  const int64_t size = of.shape.back();
  Inputs inputs;
  inputs.residual.x = at::randn(of.shape) * 3 + 1;
  inputs.weight = at::randn(size);
  inputs.bias = at::randn(size);
  LinearOutput& branch = inputs.residual.branch;
  if (of.branch.has_value()) branch.product = at::randn(of.shape).to(*of.branch);
  if (of.branch_bias) branch.bias = at::randn(size);
  for (at::Tensor& input : inputs.all()) input.requires_grad_();
  return inputs;
}

Inputs Doubled(const Inputs& inputs) {
  const auto doubled = [](const at::Tensor& input) {
    return input.defined() ? input.detach().to(at::kDouble).requires_grad_() : input;
  };
  const auto& [x, branch] = inputs.residual;
  return {{doubled(x), {doubled(branch.product), doubled(branch.bias)}},
          doubled(inputs.weight),
          doubled(inputs.bias)};
}

AddedAndNormalized RunOn(const Inputs& inputs, const Case& of) {
  return AddNorm(inputs.residual, inputs.weight, inputs.bias, kEps, of.normalized);
}

class AddNormTest : public testing::TestWithParam<Case> {};

TEST_P(AddNormTest, ValuesAndGradientsAreTheExactOnes) {
  const Inputs inputs = Draw(GetParam()), exact = Doubled(inputs);
  const auto [sum, normalized] = RunOn(inputs, GetParam());
  const at::Tensor exact_sum = exact.residual.Value();
  const at::Tensor exact_normalized =
      at::layer_norm(exact_sum, exact.weight.sizes(), exact.weight, exact.bias, kEps);
  EXPECT_EQ(sum.scalar_type(), at::kFloat);
  const double tolerance = normalized.scalar_type() == at::kFloat ? 3e-6 : 1.0 / 256;
  EXPECT_LT(LargestError(sum, exact_sum), 1e-6);
  EXPECT_LT(LargestError(normalized, exact_normalized), tolerance);

  const at::Tensor sum_gradient = at::randn_like(sum), gradient = at::randn_like(normalized);
  const auto actual =
      torch::autograd::grad({sum, normalized}, inputs.all(), {sum_gradient, gradient});
  const auto expected =
      torch::autograd::grad({exact_sum, exact_normalized}, exact.all(),
                            {sum_gradient.to(at::kDouble), gradient.to(at::kDouble)});
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].scalar_type(), inputs.all()[i].scalar_type()) << i;
    EXPECT_LT(LargestError(actual[i], expected[i]),
              actual[i].scalar_type() == at::kFloat ? 3e-6 : 1.0 / 256)
        << i;
  }
}

TEST_P(AddNormTest, TheSameWithoutGradientAndForAnyNumberOfThreads) {
  if (GetParam().shape.back() % 16 != 0) GTEST_SKIP() << "LibTorch's kernels";
  const Inputs inputs = Draw(GetParam());
  const auto run = [&](int threads) {
    const ThreadCount count(threads);
    const auto [sum, normalized] = RunOn(inputs, GetParam());
    std::vector<at::Tensor> out = torch::autograd::grad(
        {sum, normalized}, inputs.all(), {at::ones_like(sum), at::ones_like(normalized)});
    out.push_back(normalized.detach());
    return out;
  };
  const std::vector<at::Tensor> one = run(1), three = run(3);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(RunOn(inputs, GetParam()).normalized, one.back()));
}

TEST_P(AddNormTest, GradientOfTheSumAlonePasses) {
  const Inputs inputs = Draw(GetParam());
  RunOn(inputs, GetParam()).sum.sum().backward();
  const auto& [x, branch] = inputs.residual;
  EXPECT_TRUE(at::equal(x.grad(), at::ones_like(x)));
  if (branch.product.defined()) {
    EXPECT_TRUE(at::equal(branch.product.grad(), at::ones_like(branch.product)));
  }
  if (branch.bias.defined()) {
    const int64_t rows = x.numel() / branch.bias.numel();
    EXPECT_TRUE(at::equal(branch.bias.grad(), at::full_like(branch.bias, rows)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AddNormTest,
    testing::Values(Case{{2, 3, 32}, at::kFloat, false, at::kFloat},        //
                    Case{{2, 3, 32}, std::nullopt, false, at::kFloat},      //
                    Case{{300, 192}, at::kFloat, true, at::kFloat},         // chunks, part of one
                    Case{{300, 192}, at::kBFloat16, true, at::kBFloat16},   //
                    Case{{300, 192}, at::kBFloat16, false, at::kBFloat16},  //
                    Case{{300, 192}, at::kBFloat16, true, at::kFloat},      //
                    Case{{300, 192}, at::kFloat, true, at::kBFloat16},      //
                    Case{{300, 192}, std::nullopt, false, at::kBFloat16},   //
                    Case{{5, 7, 24}, at::kFloat, true, at::kFloat}));       // LibTorch's kernels

TEST(AddNormOfTest, LargeMeansKeepTheirVariance) {
  const at::Tensor x = at::arange(64, at::kFloat).remainder(2).reshape({1, 64}) + 4096;
  const auto out = AddNorm({x, {}}, at::ones(64), at::zeros(64), 0, at::kFloat);
  EXPECT_TRUE(at::allclose(out.normalized.abs(), at::ones({1, 64})));
}

}  // namespace
}  // namespace vit
