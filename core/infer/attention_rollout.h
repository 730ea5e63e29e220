// From attention weights to what each patch gave to the answer. Only for the rooms that compute.
#ifndef VIT_CORE_INFER_ATTENTION_ROLLOUT_H_
#define VIT_CORE_INFER_ATTENTION_ROLLOUT_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "vit/v1/model.pb.h"

namespace vit {

// `weights`: each block's, [B, H, N, N], the first block first. Attention rollout (Abnar and
// Zuidema, 2020, https://arxiv.org/abs/2005.00928): each block's mean over heads, half of it the
// identity for the residual, multiplied from the first block up: [B, N, N].
at::Tensor AttentionRollout(const std::vector<at::Tensor>& weights);

// What each patch gives by `attention` [B, N, N], rows looking at columns: the class token's row
// where the head reads that, else the mean of the patches' rows. [B, patches].
at::Tensor PatchRelevance(const at::Tensor& attention, const vit::v1::ModelConfig& config);

}  // namespace vit

#endif  // VIT_CORE_INFER_ATTENTION_ROLLOUT_H_
