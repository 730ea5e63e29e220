// Sums that are left to the next kernel.
#ifndef VIT_CORE_MODEL_LINEAR_OUTPUT_H_
#define VIT_CORE_MODEL_LINEAR_OUTPUT_H_

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace vit {

// The output of a linear layer: product + bias.
struct LinearOutput {
  at::Tensor Value() const { return bias.defined() ? product + bias : product; }

  at::Tensor product;  // [..., D]
  at::Tensor bias;     // [D], float32; undefined for none
};

// What passes from block to block: x + branch.
struct Residual {
  at::Tensor Value() const { return branch.product.defined() ? x + branch.Value() : x; }

  at::Tensor x;         // [..., D]
  LinearOutput branch;  // without product if there is none
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_LINEAR_OUTPUT_H_
