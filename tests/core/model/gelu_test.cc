#include "core/model/gelu.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/core/model/testing.h"

namespace vit {
namespace {

// Numbers of every magnitude, both signs, and far out in the tails.
at::Tensor Inputs() {
  const at::Tensor near = at::linspace(-12, 12, 100'001);
  const at::Tensor far =
      at::tensor({-1e30f, -1000.f, -90.f, -40.f, -0.f, 0.f, 1e-30f, 40.f, 1000.f, 1e30f});
  return at::cat({near, far});
}

at::Tensor ErrorFrom(const at::Tensor& actual, const at::Tensor& exact, const at::Tensor& x) {
  return ((actual - exact).abs() / x.abs().clamp_min(1)).max();
}

TEST(GeluTest, ValueAndDerivativeAreTheExactOnes) {
  at::Tensor x = Inputs().requires_grad_();
  at::Tensor exact = Inputs().to(at::kDouble).requires_grad_();
  const at::Tensor y = Gelu(x), y_exact = at::gelu(exact);
  y.sum().backward();
  y_exact.sum().backward();
  EXPECT_LT(ErrorFrom(y.detach(), y_exact.detach(), exact.detach()).item<double>(), 2e-7);
  EXPECT_LT((x.grad() - exact.grad()).abs().max().item<double>(), 1e-6);
}

// Each value is the one nearest to the float32 one; so is the derivative, which is kept in
// bfloat16.
TEST(GeluTest, BFloat16IsRoundedOnce) {
  at::Tensor x = Inputs().to(at::kBFloat16);
  at::Tensor wide = x.to(at::kFloat).requires_grad_();
  x.requires_grad_();
  const at::Tensor y = Gelu(x), y_wide = Gelu(wide);
  EXPECT_TRUE(at::equal(y, y_wide.to(at::kBFloat16)));
  y.backward(at::ones_like(y));
  y_wide.backward(at::ones_like(y_wide));
  EXPECT_TRUE(at::equal(x.grad(), wide.grad().to(at::kBFloat16)));
}

TEST(GeluTest, AddsTheBias) {
  torch::manual_seed(7);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const auto& shape : {std::vector<int64_t>{7, 33}, std::vector<int64_t>{3, 100, 64}}) {
      at::Tensor x = at::randn(shape).to(type).requires_grad_();
      at::Tensor bias = at::randn(shape.back()).requires_grad_();
      at::Tensor exact_x = x.detach().to(at::kDouble).requires_grad_();
      at::Tensor exact_bias = bias.detach().to(at::kDouble).requires_grad_();
      const at::Tensor y = Gelu({x, bias}), exact = at::gelu(exact_x + exact_bias);
      const at::Tensor gradient = at::randn_like(y);
      y.backward(gradient);
      exact.backward(gradient.to(at::kDouble));
      const double tolerance = type == at::kFloat ? 1e-5 : 0.04;  // two roundings of up to 5
      EXPECT_LT((y - exact).abs().max().item<double>(), tolerance);
      EXPECT_LT((x.grad() - exact_x.grad()).abs().max().item<double>(), tolerance);
      // A sum of as many terms as there are rows.
      const double terms = std::sqrt(static_cast<double>(x.numel()) / shape.back());
      EXPECT_LT((bias.grad() - exact_bias.grad()).abs().max().item<double>(), tolerance * terms);
      EXPECT_EQ(bias.grad().scalar_type(), at::kFloat);
      torch::NoGradGuard no_grad;
      EXPECT_TRUE(at::equal(y, Gelu({x, bias})));
    }
  }
}

TEST(GeluTest, TheSameForAnyNumberOfThreads) {
  const at::Tensor x = at::randn({1000, 37}).requires_grad_();
  const at::Tensor bias = at::randn(37).requires_grad_();
  const auto run = [&](int threads) {
    const ThreadCount count(threads);
    const at::Tensor y = Gelu({x, bias});
    std::vector<at::Tensor> out = torch::autograd::grad({y}, {x, bias}, {at::ones_like(y)});
    out.push_back(y.detach());
    return out;
  };
  const std::vector<at::Tensor> one = run(1), eight = run(8);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], eight[i])) << i;
}

TEST(GeluTest, GradientIsScaledByWhatComesBack) {
  at::Tensor x = at::randn({7, 33}).requires_grad_(),
             reference = x.detach().clone().requires_grad_();
  const at::Tensor weight = at::randn({7, 33});
  (Gelu(x) * weight).sum().backward();
  (at::gelu(reference) * weight).sum().backward();
  EXPECT_LT((x.grad() - reference.grad()).abs().max().item<double>(), 1e-5);
}

TEST(GeluTest, TheSameWithAndWithoutGradient) {
  at::Tensor x = at::randn({1000, 77}).requires_grad_();
  const at::Tensor with = Gelu(x).detach();
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(with, Gelu(x)));
}

TEST(GeluTest, OtherTypesAndLayoutsGoToLibTorch) {
  const at::Tensor x = at::randn({8, 6});
  EXPECT_TRUE(at::equal(Gelu(x.t()), at::gelu(x.t())));
  EXPECT_TRUE(at::equal(Gelu(x.to(at::kHalf)), at::gelu(x.to(at::kHalf))));
}

TEST(GeluTest, NotANumberStaysOne) {
  EXPECT_TRUE(
      Gelu(at::full({3}, std::numeric_limits<float>::quiet_NaN())).isnan().all().item<bool>());
}

TEST(ActivateTest, ValuesAndDerivativesAreThoseOfTheFormulas) {
  const at::Tensor exact = Inputs().to(at::kDouble);
  const auto check = [&](vit::v1::Activation activation, auto formula) {
    at::Tensor x = Inputs().requires_grad_(), reference = exact.clone().requires_grad_();
    const at::Tensor y = Activate(x, activation), y_reference = formula(reference);
    y.sum().backward();
    y_reference.sum().backward();
    EXPECT_LT(ErrorFrom(y.detach(), y_reference.detach(), exact).item<double>(), 1e-6);
    EXPECT_LT((x.grad() - reference.grad()).abs().max().item<double>(), 1e-5);
  };
  check(vit::v1::ACTIVATION_GELU, [](const at::Tensor& x) { return at::gelu(x); });
  check(vit::v1::ACTIVATION_QUICK_GELU,
        [](const at::Tensor& x) { return x * at::sigmoid(1.702 * x); });
  // Within the range in which x^3 is finite.
  const at::Tensor near = at::linspace(-50, 50, 10'001, at::kDouble);
  const at::Tensor tanh =
      near / 2 * (1 + at::tanh(std::sqrt(2 / M_PI) * (near + 0.044715 * near.pow(3))));
  const at::Tensor actual = Activate(near.to(at::kFloat), vit::v1::ACTIVATION_GELU_TANH);
  EXPECT_LT(ErrorFrom(actual, tanh, near).item<double>(), 1e-6);
}

TEST(ActivateTest, ApproximationsDifferFromTheExactOne) {
  const at::Tensor x = at::linspace(-3, 3, 101);
  const at::Tensor exact = Activate(x, vit::v1::ACTIVATION_GELU);
  const auto distance = [&](vit::v1::Activation activation) {
    return (Activate(x, activation) - exact).abs().max().item<double>();
  };
  EXPECT_GT(distance(vit::v1::ACTIVATION_GELU_TANH), 1e-4);
  EXPECT_GT(distance(vit::v1::ACTIVATION_QUICK_GELU), 1e-2);
}

TEST(ActivateTest, Bfloat16StaysBfloat16) {
  const at::Tensor x = at::linspace(-3, 3, 101);
  for (const auto activation :
       {vit::v1::ACTIVATION_GELU, vit::v1::ACTIVATION_GELU_TANH, vit::v1::ACTIVATION_QUICK_GELU}) {
    const at::Tensor y = Activate(x.to(at::kBFloat16), activation);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    EXPECT_LT((y.to(at::kFloat) - Activate(x, activation)).abs().max().item<double>(), 0.03);
  }
}

}  // namespace
}  // namespace vit
