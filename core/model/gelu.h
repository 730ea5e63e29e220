// GELU, x * Phi(x) (Hendrycks and Gimpel, 2016, https://arxiv.org/abs/1606.08415), and its
// approximations.
#ifndef VIT_CORE_MODEL_GELU_H_
#define VIT_CORE_MODEL_GELU_H_

#include <ATen/core/Tensor.h>

#include "core/model/linear_output.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Returns at::gelu(x), for any shape. For contiguous float32 and bfloat16 on the CPU it uses our
// own kernel, which computes the value and, if a gradient is needed, the derivative in one pass;
// its values are within 2e-7 * max(1, |x|) of the exact ones, then rounded to the type of `x`.
at::Tensor Gelu(const at::Tensor& x);

// Returns Gelu of x's value, without a separate pass to add the bias or to compute its gradient.
// The same for any number of threads.
at::Tensor Gelu(const LinearOutput& x);

// Applies `activation` of model.proto, for any shape.
at::Tensor Activate(const at::Tensor& x, vit::v1::Activation activation);

}  // namespace vit

#endif  // VIT_CORE_MODEL_GELU_H_
