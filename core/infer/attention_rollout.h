// Computes from attention weights how much each patch contributed to the answer.
#ifndef VIT_CORE_INFER_ATTENTION_ROLLOUT_H_
#define VIT_CORE_INFER_ATTENTION_ROLLOUT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "vit/v1/model.pb.h"

namespace vit {

// Returns the attention rollout, [B, N, N] (Abnar and Zuidema, 2020,
// https://arxiv.org/abs/2005.00928): each block's mean over heads, averaged with the identity for
// the residual, multiplied from the first block up. `weights`: those of each block, [B, H, N, N],
// the first block first.
at::Tensor AttentionRollout(const std::vector<at::Tensor>& weights);

// Returns how much each patch contributes by `attention` [B, N, N], rows looking at columns: the
// class token's row if the head reads that token, else the mean of the patches' rows. [B, patches].
at::Tensor PatchRelevance(const at::Tensor& attention, const vit::v1::ModelConfig& config);

}  // namespace vit

#endif  // VIT_CORE_INFER_ATTENTION_ROLLOUT_H_
