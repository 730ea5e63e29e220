#include "core/model/frozen/cpu/cpu_attention.h"

#include <algorithm>

#include "core/model/frozen/cpu/buffers.h"
#include "core/model/frozen/cpu/packed_linear.h"
#include "core/model/lanes.h"

namespace vit::frozen {
namespace {

// Queries whose scores are in memory at a time: as many as stay in the nearest caches.
constexpr int64_t kMostQueries = 64;

}  // namespace

template <typename T>
CpuAttention<T>::CpuAttention(int64_t tokens, int64_t heads, int64_t head_stride)
    : kernels_(BestKernels<T>()),
      tokens_(tokens),
      padded_tokens_(RoundUpToLanes(tokens)),
      heads_(heads),
      head_stride_(head_stride) {}

template <typename T>
CpuAttention<T>::Scratch CpuAttention<T>::MakeScratch() const {
  return {
      .keys = Zeros<T>({head_stride_, padded_tokens_}),
      .values = Zeros<T>({padded_tokens_, head_stride_}),
      .scores = Zeros<float>({kMostQueries, padded_tokens_}),
      .weights = Zeros<T>({kMostQueries, padded_tokens_}),
      .mixed = Zeros<float>({kMostQueries, head_stride_}),
      .factors = Zeros<float>({kMostQueries}),
  };
}

template <typename T>
void CpuAttention<T>::Attend(const T* queries, int64_t query_stride, int64_t count, const T* keys,
                             int64_t key_stride, T* out, Scratch* scratch) const {
  T* const packed_keys = scratch->keys.template data_ptr<T>();
  T* const packed_values = scratch->values.template data_ptr<T>();
  float* const scores = scratch->scores.template data_ptr<float>();
  T* const weights = scratch->weights.template data_ptr<T>();
  float* const mixed = scratch->mixed.template data_ptr<float>();
  float* const factors = scratch->factors.template data_ptr<float>();
  const int64_t out_stride = heads_ * head_stride_;
  for (int64_t head = 0; head < heads_; ++head) {
    const T* const key = keys + head * head_stride_;
    const T* values = key + out_stride;
    int64_t value_stride = key_stride, inner = tokens_;
    kernels_.pack_transposed(key, key_stride, tokens_, head_stride_, packed_keys, padded_tokens_);
    if (kernels_.pack != nullptr) {
      kernels_.pack(values, key_stride, tokens_, head_stride_, packed_values);
      values = packed_values;
      value_stride = head_stride_;
      inner = padded_tokens_;
    }
    for (int64_t first = 0; first < count; first += kMostQueries) {
      const int64_t rows = std::min(kMostQueries, count - first);
      const T* const query = queries + first * query_stride + head * head_stride_;
      Multiply<T>({rows, padded_tokens_, head_stride_}, query, query_stride, packed_keys,
                  padded_tokens_, scores, padded_tokens_, /*add=*/false);
      kernels_.exponentiate(scores, padded_tokens_, rows, tokens_, weights, padded_tokens_,
                            factors);
      Multiply<T>({rows, head_stride_, inner}, weights, padded_tokens_, values, value_stride, mixed,
                  head_stride_, /*add=*/false);
      kernels_.scale_rows(mixed, head_stride_, factors, rows, head_stride_,
                          out + first * out_stride + head * head_stride_, out_stride);
    }
  }
}

template class CpuAttention<float>;
template class CpuAttention<at::BFloat16>;

}  // namespace vit::frozen
