// Splits the rows of a matrix among threads so that sums over rows do not depend on their number.
#ifndef VIT_CORE_MODEL_ROW_CHUNKS_H_
#define VIT_CORE_MODEL_ROW_CHUNKS_H_

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace vit {

constexpr int64_t kChunkRows = 128;

inline int64_t ChunkCount(int64_t rows) { return (rows + kChunkRows - 1) / kChunkRows; }

// Calls work(chunk, first row, rows) for every chunk of kChunkRows rows, the last one of fewer.
template <typename Work>
void ForEachChunk(int64_t rows, const Work& work) {
  at::parallel_for(0, ChunkCount(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * kChunkRows;
      work(chunk, first, std::min(kChunkRows, rows - first));
    }
  });
}

}  // namespace vit

#endif  // VIT_CORE_MODEL_ROW_CHUNKS_H_
