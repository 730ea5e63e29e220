// Splits the rows of a matrix among threads so that sums over rows do not depend on the number of
// threads.
#ifndef VIT_CORE_MODEL_ROW_CHUNKS_H_
#define VIT_CORE_MODEL_ROW_CHUNKS_H_

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstdint>

namespace vit {

constexpr int64_t kChunkRows = 128;

inline int64_t ChunkCount(int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

// Calls work(chunk, first row, rows) for every chunk of kChunkRows rows, of which the last one may
// have fewer.
template <typename Work>
void ForEachChunk(int64_t rows, const Work& work) {
  at::parallel_for(0, ChunkCount(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kChunkRows;
      work(chunk, first, std::min(kChunkRows, rows - first));
    }
  });
}

// Returns the sum over the first dimension of the chunks' shares: float32 [chunks, ...].
inline at::Tensor SumOfChunks(const at::Tensor& shares) {
  at::Tensor sum = at::zeros(shares.sizes().slice(1), at::kFloat);
  const int64_t size = sum.numel();
  const float* const share = shares.const_data_ptr<float>();
  float* const out = sum.data_ptr<float>();
  for (int64_t chunk = 0; chunk < shares.size(0); ++chunk) {
    for (int64_t i = 0; i < size; ++i) out[i] += share[chunk * size + i];
  }
  return sum;
}

}  // namespace vit

#endif  // VIT_CORE_MODEL_ROW_CHUNKS_H_
