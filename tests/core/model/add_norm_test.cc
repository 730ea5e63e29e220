#include "core/model/add_norm.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <optional>

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
  at::Tensor x;
  LinearOutput branch;
  at::Tensor weight, bias;

  std::vector<at::Tensor> all() const {
    std::vector<at::Tensor> given;
    for (const at::Tensor& input : {x, branch.product, branch.bias, weight, bias}) {
      if (input.defined()) given.push_back(input);
    }
    return given;
  }
  at::Tensor Sum() const { return branch.product.defined() ? x + branch.Value() : x; }
};

Inputs Draw(const Case& of) {
  torch::manual_seed(5);
  const int64_t size = of.shape.back();
  Inputs inputs = {
      .x = at::randn(of.shape) * 3 + 1, .weight = at::randn(size), .bias = at::randn(size)};
  if (of.branch.has_value()) inputs.branch.product = at::randn(of.shape).to(*of.branch);
  if (of.branch_bias) inputs.branch.bias = at::randn(size);
  for (at::Tensor& input : inputs.all()) input.requires_grad_();
  return inputs;
}

Inputs Doubled(const Inputs& inputs) {
  const auto doubled = [](const at::Tensor& input) {
    return input.defined() ? input.detach().to(at::kDouble).requires_grad_() : input;
  };
  return {doubled(inputs.x),
          {doubled(inputs.branch.product), doubled(inputs.branch.bias)},
          doubled(inputs.weight),
          doubled(inputs.bias)};
}

// Of the largest value.
double Error(const at::Tensor& actual, const at::Tensor& exact) {
  return ((actual.to(at::kDouble) - exact).abs().max() / exact.abs().max()).item<double>();
}

class AddNormTest : public testing::TestWithParam<Case> {};

TEST_P(AddNormTest, ValuesAndGradientsAreTheExactOnes) {
  const Inputs inputs = Draw(GetParam()), exact = Doubled(inputs);
  const auto [sum, normalized] =
      AddNorm(inputs.x, inputs.branch, inputs.weight, inputs.bias, kEps, GetParam().normalized);
  const at::Tensor exact_sum = exact.Sum();
  const at::Tensor exact_normalized =
      at::layer_norm(exact_sum, exact.weight.sizes(), exact.weight, exact.bias, kEps);
  EXPECT_EQ(sum.scalar_type(), at::kFloat);
  const double tolerance = normalized.scalar_type() == at::kFloat ? 3e-6 : 1.0 / 256;
  EXPECT_LT(Error(sum, exact_sum), 1e-6);
  EXPECT_LT(Error(normalized, exact_normalized), tolerance);

  const at::Tensor sum_gradient = at::randn_like(sum), gradient = at::randn_like(normalized);
  const auto actual =
      torch::autograd::grad({sum, normalized}, inputs.all(), {sum_gradient, gradient});
  const auto expected =
      torch::autograd::grad({exact_sum, exact_normalized}, exact.all(),
                            {sum_gradient.to(at::kDouble), gradient.to(at::kDouble)});
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].scalar_type(), inputs.all()[i].scalar_type()) << i;
    EXPECT_LT(Error(actual[i], expected[i]),
              actual[i].scalar_type() == at::kFloat ? 3e-6 : 1.0 / 256)
        << i;
  }
}

TEST_P(AddNormTest, TheSameWithoutGradientAndWithOneThread) {
  const Inputs inputs = Draw(GetParam());
  const auto run = [&] {
    return AddNorm(inputs.x, inputs.branch, inputs.weight, inputs.bias, kEps,
                   GetParam().normalized);
  };
  const auto gradients = [&](const AddedAndNormalized& out) {
    return torch::autograd::grad({out.normalized}, inputs.all(), {at::ones_like(out.normalized)});
  };
  const AddedAndNormalized two = run();
  const auto gradients_two = gradients(two);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const AddedAndNormalized one = run();
  const auto gradients_one = gradients(one);
  {
    torch::NoGradGuard no_grad;
    const AddedAndNormalized without = run();
    EXPECT_TRUE(at::equal(without.sum, two.sum));
    EXPECT_TRUE(at::equal(without.normalized, two.normalized));
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one.normalized, two.normalized));
  for (size_t i = 0; i < gradients_one.size(); ++i) {
    EXPECT_TRUE(at::equal(gradients_one[i], gradients_two[i])) << i;
  }
}

TEST_P(AddNormTest, GradientOfTheSumAlonePasses) {
  const Inputs inputs = Draw(GetParam());
  const auto out =
      AddNorm(inputs.x, inputs.branch, inputs.weight, inputs.bias, kEps, GetParam().normalized);
  out.sum.sum().backward();
  EXPECT_TRUE(at::equal(inputs.x.grad(), at::ones_like(inputs.x)));
  if (GetParam().branch.has_value()) {
    EXPECT_TRUE(at::equal(inputs.branch.product.grad(), at::ones_like(inputs.branch.product)));
  }
  if (GetParam().branch_bias) {
    EXPECT_TRUE(at::allclose(
        inputs.branch.bias.grad(),
        at::full_like(inputs.branch.bias, inputs.x.numel() / 1.0 / inputs.branch.bias.numel())));
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
  const auto out = AddNorm(x, {}, at::ones(64), at::zeros(64), 0, at::kFloat);
  EXPECT_TRUE(at::allclose(out.normalized.abs(), at::ones({1, 64})));
}

}  // namespace
}  // namespace vit
