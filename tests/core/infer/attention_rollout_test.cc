#include "core/infer/attention_rollout.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/tensor_file/tensor_file.h"

namespace vit {
namespace {

TEST(AttentionRolloutTest, EqualsTheReference) {
  const auto file = ReadTensorFile(std::filesystem::path(VIT_SOURCE_DIR) /
                                   "tests/data/parity/timm_cls/features.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const at::Tensor expected = file->tensors.at("rollout_cls");  // [4, patches]
  vit::v1::ModelConfig config;
  config.set_image_size(32);
  config.set_patch_size(4);
  FillModelDefaults(10, &config);
  const at::Tensor actual = PatchRelevance(
      AttentionRollout({file->tensors.at("attention.0"), file->tensors.at("attention.1")}), config);
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LT(((actual - expected).abs().max() / expected.abs().max()).item<double>(), 1e-5);
}

TEST(AttentionRolloutTest, WithoutAClassTokenThePatchesRowsAreAveraged) {
  vit::v1::ModelConfig config;
  config.set_global_pool(vit::v1::GLOBAL_POOL_AVG);
  config.set_class_token(false);
  config.set_reg_tokens(1);
  FillModelDefaults(10, &config);
  // One register in front of two patches.
  const at::Tensor attention =
      at::tensor({0.f, 9.f, 9.f, 1.f, 2.f, 4.f, 1.f, 6.f, 8.f}).view({1, 3, 3});
  EXPECT_TRUE(at::equal(PatchRelevance(attention, config), at::tensor({4.f, 6.f}).view({1, 2})));
}

}  // namespace
}  // namespace vit
