// A residual addition and the layer norm that follows it, in one pass over memory. Only for the
// rooms that compute.
#ifndef VIT_CORE_MODEL_ADD_NORM_H_
#define VIT_CORE_MODEL_ADD_NORM_H_

#include <ATen/core/Tensor.h>

#include "core/model/linear_output.h"

namespace vit {

struct AddedAndNormalized {
  at::Tensor sum;         // of the type of x
  at::Tensor normalized;  // of the type asked for, or of the sum's where LibTorch computes it
};

// The value of `residual` and its LayerNorm over the last dimension, of size D. `weight`, `bias`:
// [D], float32. `type`: of what is normalised, float32 or bfloat16.
//
// On the CPU, for contiguous tensors, float32 x, a float32 or bfloat16 product, and a D that is a
// multiple of 16, kernels of our own, forward and backward, the same for any number of threads;
// else LibTorch's.
AddedAndNormalized AddNorm(const Residual& residual, const at::Tensor& weight,
                           const at::Tensor& bias, double eps, at::ScalarType type);

}  // namespace vit

#endif  // VIT_CORE_MODEL_ADD_NORM_H_
