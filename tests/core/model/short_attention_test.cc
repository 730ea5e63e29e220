#include "core/model/short_attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "tests/core/model/testing.h"

namespace vit {
namespace {

struct Case {
  std::vector<int64_t> shape;  // B, N, 3, H, D
  at::ScalarType type;
  double scale;
};

class ShortAttentionTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!TakesShortAttention(at::zeros({1, 2, 3, 1, 16}))) {
      GTEST_SKIP() << "this processor has no AVX-512";
    }
  }
};

at::Tensor Values(const Case& of) {
  torch::manual_seed(3);
  return (at::randn(of.shape) * 2).to(of.type);
}

// Computed in float64, from the definition.
at::Tensor Exact(const at::Tensor& qkv, double scale) {
  const std::vector<at::Tensor> parts = qkv.permute({2, 0, 3, 1, 4}).unbind(0);  // [B, H, N, D]
  const at::Tensor weights = (at::matmul(parts[0], parts[1].transpose(-1, -2)) * scale).softmax(-1);
  return at::matmul(weights, parts[2]).transpose(1, 2);
}

TEST_P(ShortAttentionTest, ValueAndGradientAreTheExactOnes) {
  at::Tensor qkv = Values(GetParam());
  ASSERT_TRUE(TakesShortAttention(qkv));
  at::Tensor exact_qkv = qkv.to(at::kDouble).requires_grad_();
  qkv.requires_grad_();
  const at::Tensor y = ShortAttention(qkv, GetParam().scale);
  const at::Tensor exact = Exact(exact_qkv, GetParam().scale);
  EXPECT_EQ(y.scalar_type(), GetParam().type);
  ASSERT_EQ(y.sizes(), exact.sizes());
  const at::Tensor gradient = at::randn_like(y);
  y.backward(gradient);
  exact.backward(gradient.to(at::kDouble));
  // bfloat16: half a unit of its last place.
  const double tolerance = GetParam().type == at::kFloat ? 3e-6 : 1.0 / 256;
  EXPECT_LT(LargestError(y.detach(), exact.detach()), tolerance);
  EXPECT_LT(LargestError(qkv.grad(), exact_qkv.grad()), tolerance);
}

TEST_P(ShortAttentionTest, TheSameWithoutGradientAndForAnyNumberOfThreads) {
  const at::Tensor qkv = Values(GetParam()).requires_grad_();
  const auto run = [&](int threads) {
    const ThreadCount count(threads);
    const at::Tensor y = ShortAttention(qkv, GetParam().scale);
    return std::pair(y.detach(), torch::autograd::grad({y}, {qkv}, {at::ones_like(y)})[0]);
  };
  const auto one = run(1), three = run(3);
  EXPECT_TRUE(at::equal(one.first, three.first));
  EXPECT_TRUE(at::equal(one.second, three.second));
  torch::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(one.first, ShortAttention(qkv, GetParam().scale)));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, ShortAttentionTest,
    testing::Values(Case{{1, 1, 3, 1, 1}, at::kFloat, 1},            //
                    Case{{3, 5, 3, 2, 16}, at::kFloat, 0.25},        //
                    Case{{2, 65, 3, 3, 64}, at::kFloat, 0.125},      //
                    Case{{2, 65, 3, 3, 64}, at::kBFloat16, 0.125},   //
                    Case{{2, 17, 3, 4, 24}, at::kFloat, 0.2},        // part of a vector
                    Case{{2, 17, 3, 4, 24}, at::kBFloat16, 0.2},     //
                    Case{{1, 80, 3, 2, 32}, at::kFloat, 0.17},       // just one block of queries
                    Case{{1, 81, 3, 2, 32}, at::kFloat, 0.17},       // just two
                    Case{{2, 197, 3, 2, 64}, at::kFloat, 0.125},     //
                    Case{{2, 197, 3, 2, 64}, at::kBFloat16, 0.125},  //
                    Case{{1, 256, 3, 1, 112}, at::kFloat, 0.05},     //
                    Case{{1, 50, 3, 2, 96}, at::kBFloat16, 0.1}),
    [](const testing::TestParamInfo<Case>& info) {
      return absl::StrJoin(info.param.shape, "x") +
             (info.param.type == at::kFloat ? "_float32" : "_bfloat16");
    });

TEST_F(ShortAttentionTest, LargeScoresDoNotOverflow) {
  const at::Tensor qkv = at::full({1, 9, 3, 1, 16}, 100.f).requires_grad_();
  const at::Tensor y = ShortAttention(qkv, 10);
  EXPECT_TRUE(at::allclose(y, at::full({1, 9, 1, 16}, 100.f)));
  y.sum().backward();
  EXPECT_TRUE(qkv.grad().isfinite().all().item<bool>());
}

TEST_F(ShortAttentionTest, NotANumberReachesEveryTokenThatSeesIt) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    at::Tensor qkv = at::randn({2, 20, 3, 2, 16}).to(type);
    qkv[1][7][1][0][3] = std::numeric_limits<float>::quiet_NaN();  // a key of one head
    const at::Tensor y = ShortAttention(qkv, 0.25);
    EXPECT_TRUE(y[1].select(1, 0).isnan().all().item<bool>());
    EXPECT_FALSE(y[1].select(1, 1).isnan().any().item<bool>());
    EXPECT_FALSE(y[0].isnan().any().item<bool>());
  }
}

TEST_F(ShortAttentionTest, LeavesOtherTensorsAlone) {
  EXPECT_FALSE(TakesShortAttention(at::zeros({1, 2, 3, 1, 16}, at::kDouble)));
  EXPECT_FALSE(TakesShortAttention(at::zeros({1, 2, 3, 16, 4}).transpose(3, 4)));
  EXPECT_FALSE(TakesShortAttention(at::zeros({1, 5000, 3, 1, 16})));
}

}  // namespace
}  // namespace vit
