// Attention of a frozen model on the CPU.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_CPU_ATTENTION_H_
#define VIT_CORE_MODEL_FROZEN_CPU_CPU_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/model/frozen/cpu/kernels.h"

namespace vit::frozen {

// Softmax over powers of two: the queries hold the scores' scale times log2(e) (folded_weights.h).
// T: float or at::BFloat16.
template <typename T>
class CpuAttention {
 public:
  // `head_stride`: features of a head, a whole number of cache lines.
  CpuAttention(int64_t tokens, int64_t heads, int64_t head_stride);

  // What a thread needs for itself.
  struct Scratch {
    at::Tensor keys, values, scores, weights, mixed, factors;
  };
  Scratch MakeScratch() const;

  // Attention of `count` queries to the tokens of one image. `queries` and `out`: [count, heads,
  // head_stride]; `keys`: the image's, [tokens, heads, head_stride], with the values after each
  // token's keys.
  void Attend(const T* queries, int64_t query_stride, int64_t count, const T* keys,
              int64_t key_stride, T* out, Scratch* scratch) const;

 private:
  const Kernels<T>& kernels_;
  const int64_t tokens_, padded_tokens_, heads_, head_stride_;
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_CPU_ATTENTION_H_
