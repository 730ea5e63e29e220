// A residual addition and the layer norm that follows it, in one pass over memory.
#ifndef VIT_CORE_MODEL_ADD_NORM_H_
#define VIT_CORE_MODEL_ADD_NORM_H_

#include <ATen/core/Tensor.h>

#include "core/model/linear_output.h"

namespace vit {

struct AddedAndNormalized {
  at::Tensor sum;         // of the type of x
  at::Tensor normalized;  // of the type asked for, or of the sum's if LibTorch computes it
};

// Returns the value of `residual` and its LayerNorm over the last dimension, of size D. `weight`,
// `bias`: [D], float32. `type`: of the normalised values, float32 or bfloat16.
//
// On the CPU, for contiguous tensors, float32 x, a float32 or bfloat16 product, and a D that is a
// multiple of 16, this uses our own kernels, forward and backward, with the same result for any
// number of threads; otherwise LibTorch's.
AddedAndNormalized AddNorm(const Residual& residual, const at::Tensor& weight,
                           const at::Tensor& bias, double eps, at::ScalarType type);

}  // namespace vit

#endif  // VIT_CORE_MODEL_ADD_NORM_H_
