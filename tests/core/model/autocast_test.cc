#include "core/model/autocast.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace vit {
namespace {

at::ScalarType ProductType() {
  const at::Tensor x = at::ones({2, 2});
  return at::matmul(x, x).scalar_type();
}

TEST(AutocastGuardTest, TheInnerGuardDecidesAndTheOuterOneHoldsAgainAfterwards) {
  EXPECT_EQ(ProductType(), at::kFloat);
  {
    const AutocastGuard outer(true, at::kCPU);
    EXPECT_EQ(ProductType(), at::kBFloat16);
    {
      const AutocastGuard inner(false, at::kCPU);
      EXPECT_EQ(ProductType(), at::kFloat);
    }
    EXPECT_EQ(ProductType(), at::kBFloat16);
    {
      const AutocastGuard inner(true, at::kCPU);
      EXPECT_EQ(ProductType(), at::kBFloat16);
    }
    EXPECT_EQ(ProductType(), at::kBFloat16);
  }
  EXPECT_EQ(ProductType(), at::kFloat);
}

}  // namespace
}  // namespace vit
