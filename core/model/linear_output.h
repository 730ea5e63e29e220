// Sums that are left to the kernel that reads them. Only for the rooms that compute.
#ifndef VIT_CORE_MODEL_LINEAR_OUTPUT_H_
#define VIT_CORE_MODEL_LINEAR_OUTPUT_H_

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace vit {

// What a linear layer gives: product + bias.
struct LinearOutput {
  at::Tensor Value() const { return bias.defined() ? product + bias : product; }

  at::Tensor product;  // [..., D]
  at::Tensor bias;     // [D], float32; undefined for none
};

// What runs past the blocks: x + branch.
struct Residual {
  at::Tensor Value() const { return branch.product.defined() ? x + branch.Value() : x; }

  at::Tensor x;         // [..., D]
  LinearOutput branch;  // no product for none
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_LINEAR_OUTPUT_H_
