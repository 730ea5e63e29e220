// Buffers of a frozen model, and how their rows are cut.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_BUFFERS_H_
#define VIT_CORE_MODEL_FROZEN_CPU_BUFFERS_H_

#include <ATen/Functions.h>

#include <algorithm>
#include <cstdint>

#include "core/model/lanes.h"

namespace vit::frozen {

// The padding of a buffer's rows is 0 and stays 0.
template <typename T>
at::Tensor Zeros(at::IntArrayRef sizes) {
  return at::zeros(sizes, c10::CppTypeToScalarType<T>::value);
}

// Returns `x` with zeros after each row's values, up to `columns`.
inline at::Tensor PadColumns(const at::Tensor& x, int64_t columns) {
  return at::constant_pad_nd(x, {0, columns - x.size(-1)}).contiguous();
}

constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_BUFFERS_H_
