#include "core/infer/attention_rollout.h"

#include <torch/torch.h>

#include "core/model/model_config.h"

namespace vit {

at::Tensor AttentionRollout(const std::vector<at::Tensor>& weights) {
  at::Tensor rollout;
  for (const at::Tensor& block : weights) {
    const at::Tensor mean = block.mean(1);  // [B, N, N]
    at::Tensor mixed = (mean + at::eye(mean.size(1), mean.options())) / 2;
    mixed = mixed / mixed.sum(-1, /*keepdim=*/true);
    rollout = rollout.defined() ? at::matmul(mixed, rollout) : mixed;
  }
  return rollout;
}

at::Tensor PatchRelevance(const at::Tensor& attention, const vit::v1::ModelConfig& config) {
  const int64_t prefix = PrefixTokenCount(config);
  const at::Tensor patches = attention.slice(2, prefix);  // [B, N, patches]
  const at::Tensor of_patches = patches.slice(1, prefix).mean(1);
  switch (config.global_pool()) {
    case vit::v1::GLOBAL_POOL_TOKEN:
      return patches.select(1, 0);
    case vit::v1::GLOBAL_POOL_TOKEN_AND_AVG:
      return (patches.select(1, 0) + of_patches) / 2;
    default:
      return of_patches;
  }
}

}  // namespace vit
