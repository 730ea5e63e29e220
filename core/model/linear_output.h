// What a linear layer gives to the kernel after it. Only for the rooms that compute.
#ifndef VIT_CORE_MODEL_LINEAR_OUTPUT_H_
#define VIT_CORE_MODEL_LINEAR_OUTPUT_H_

#include <ATen/core/Tensor.h>

namespace vit {

// Its value is product + bias; the addition is left to the kernel that reads it.
struct LinearOutput {
  at::Tensor Value() const { return bias.defined() ? product + bias : product; }

  at::Tensor product;  // [..., D]
  at::Tensor bias;     // [D], float32; undefined for none
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_LINEAR_OUTPUT_H_
