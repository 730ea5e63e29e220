#include "core/model/frozen/cpu/kernels.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/model/frozen/byte_centre.h"
#include "core/model/vectors.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>

#include "core/model/scratch_matrix.h"
#define VIT_KERNELS_X86 1
#endif

namespace vit::frozen {
namespace {

namespace portable {
#include "core/model/frozen/cpu/kernels_inl.h"
}  // namespace portable

#ifdef VIT_KERNELS_X86
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
namespace avx2 {
#include "core/model/frozen/cpu/kernels_inl.h"
}  // namespace avx2
#pragma GCC pop_options

#define VIT_KERNELS_AVX512 1
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
namespace avx512 {
#include "core/model/frozen/cpu/kernels_inl.h"
}  // namespace avx512
#pragma GCC pop_options

#define VIT_KERNELS_BFLOAT16 1
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512,avx512bf16")
namespace avx512_bfloat16 {
#include "core/model/frozen/cpu/kernels_inl.h"
}  // namespace avx512_bfloat16
#pragma GCC pop_options
#endif

template <typename T>
Kernels<T> ChooseKernels() {
#ifdef VIT_KERNELS_X86
  const bool avx512 = __builtin_cpu_supports("x86-64-v4");
  if (avx512 && __builtin_cpu_supports("avx512bf16")) return avx512_bfloat16::MakeKernels<T>();
  if (avx512) return avx512::MakeKernels<T>();
  if (__builtin_cpu_supports("x86-64-v3")) return avx2::MakeKernels<T>();
#endif
  return portable::MakeKernels<T>();
}

}  // namespace

template <typename T>
const Kernels<T>& BestKernels() {
  static const Kernels<T> kernels = ChooseKernels<T>();
  return kernels;
}
template const Kernels<float>& BestKernels();
template const Kernels<at::BFloat16>& BestKernels();

}  // namespace vit::frozen
