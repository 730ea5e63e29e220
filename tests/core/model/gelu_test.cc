#include "core/model/gelu.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace vit {
namespace {

// Every size of number, both signs, and what is far out in the tails.
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
  EXPECT_TRUE(at::equal(Gelu(x.to(at::kBFloat16)), at::gelu(x.to(at::kBFloat16))));
}

TEST(GeluTest, NotANumberStaysOne) {
  EXPECT_TRUE(
      Gelu(at::full({3}, std::numeric_limits<float>::quiet_NaN())).isnan().all().item<bool>());
}

}  // namespace
}  // namespace vit
