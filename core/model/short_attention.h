// Attention on the CPU, all heads in one pass, without a library call for every product: at the 65
// tokens of a small image such calls take longer than what they compute.
//
// Shapes: B images, N tokens, H heads, D = features of a head.
#ifndef VIT_CORE_MODEL_SHORT_ATTENTION_H_
#define VIT_CORE_MODEL_SHORT_ATTENTION_H_

#include <ATen/core/Tensor.h>

namespace vit {

// Whether ShortAttention takes `qkv`: contiguous [B, N, 3, H, D] on the CPU, float32 or bfloat16,
// with few enough tokens to be faster, on a processor with AVX-512.
bool TakesShortAttention(const at::Tensor& qkv);

// Returns softmax(scale Q K^T) V of each image and head: [B, N, H, D], of the type of `qkv`.
// Computed in float32, and the same for any number of threads. Differentiable: it keeps only the
// normalisation of the weights, and the backward pass computes them again.
at::Tensor ShortAttention(const at::Tensor& qkv, double scale);

}  // namespace vit

#endif  // VIT_CORE_MODEL_SHORT_ATTENTION_H_
