// GELU, x * Phi(x) (Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415), and its
// approximations. Only for the rooms that compute.
#ifndef VIT_CORE_MODEL_GELU_H_
#define VIT_CORE_MODEL_GELU_H_

#include <ATen/core/Tensor.h>

#include "vit/v1/model.pb.h"

namespace vit {

// As at::gelu(x), any shape. For contiguous float32 on the CPU a kernel of our own, which computes
// the value and, where a gradient will be asked for, the derivative in one pass; its values are
// within 2e-7 * max(1, |x|) of the exact ones.
at::Tensor Gelu(const at::Tensor& x);

// What `activation` of model.proto says, any shape.
at::Tensor Activate(const at::Tensor& x, vit::v1::Activation activation);

}  // namespace vit

#endif  // VIT_CORE_MODEL_GELU_H_
