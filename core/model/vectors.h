// Vectors of 16 floats for kernels on the CPU, which GCC compiles to the instructions of the
// processor that the function is compiled for. Values in memory are float32 or bfloat16.
#ifndef VIT_CORE_MODEL_VECTORS_H_
#define VIT_CORE_MODEL_VECTORS_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdint>

#include "core/model/lanes.h"

#define VIT_INLINE [[gnu::always_inline]] inline

// How vectors are passed depends on the instruction set. So everything here is inlined, and what
// takes or returns them must be too; the build turns GCC's -Wpsabi off where they are used.

namespace vit {

using Floats = float __attribute__((vector_size(64)));

namespace internal {
using Words = uint32_t __attribute__((vector_size(64)));
using HalfWords = uint16_t __attribute__((vector_size(32)));
// Of any alignment.
using LooseFloats = float __attribute__((vector_size(64), aligned(4)));
using LooseHalfWords = uint16_t __attribute__((vector_size(32), aligned(2)));
}  // namespace internal

VIT_INLINE Floats Load(const float* from) {
  return *reinterpret_cast<const internal::LooseFloats*>(from);
}
VIT_INLINE Floats Load(const at::BFloat16* from) {
  const internal::HalfWords bits = *reinterpret_cast<const internal::LooseHalfWords*>(from);
  return reinterpret_cast<Floats>(__builtin_convertvector(bits, internal::Words) << 16);
}
VIT_INLINE void Store(Floats x, float* to) { *reinterpret_cast<internal::LooseFloats*>(to) = x; }
// Rounds to the nearest, ties to even; NaN stays NaN.
VIT_INLINE void Store(Floats x, at::BFloat16* to) {
  const internal::Words bits = reinterpret_cast<internal::Words>(x);
  const internal::Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  // NOLINTNEXTLINE(misc-redundant-expression)
  const internal::Words kept = x == x ? rounded : internal::Words{} + 0x7fc0;
  *reinterpret_cast<internal::LooseHalfWords*>(to) =
      __builtin_convertvector(kept, internal::HalfWords);
}

// Loads the first `count` < kLanes values; the others are 0.
template <typename T>
VIT_INLINE Floats LoadPart(const T* from, int64_t count) {
  T values[kLanes] = {};
  std::copy_n(from, count, values);
  return Load(values);
}
template <typename T>
VIT_INLINE void StorePart(Floats x, int64_t count, T* to) {
  T values[kLanes];
  Store(x, values);
  std::copy_n(values, count, to);
}

VIT_INLINE float Total(Floats x) {
  float total = 0;
  for (int i = 0; i < kLanes; ++i) total += x[i];
  return total;
}

// Calls f.operator()<T>() for the C++ type of `type`, which is float32 or bfloat16.
template <typename F>
void WithElement(at::ScalarType type, const F& f) {
  type == at::kFloat ? f.template operator()<float>() : f.template operator()<at::BFloat16>();
}
inline bool AsksForGradient(const at::Tensor& tensor) {
  return at::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
}
inline bool IsFloatOrBFloat16(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16;
}

}  // namespace vit

#endif  // VIT_CORE_MODEL_VECTORS_H_
