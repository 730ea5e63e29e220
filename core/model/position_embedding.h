// Position embeddings.
#ifndef VIT_CORE_MODEL_POSITION_EMBEDDING_H_
#define VIT_CORE_MODEL_POSITION_EMBEDDING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace vit {

struct PatchGrid {
  int64_t rows = 0, columns = 0;
  bool operator==(const PatchGrid&) const = default;
};

// Returns fixed sines and cosines of column and row, as big_vision computes them: [1, rows *
// columns, dim], with the quarters sin(x), cos(x), sin(y), cos(y). `dim` is a multiple of 4, at
// least 8.
at::Tensor SinCosPositionEmbedding(const PatchGrid& grid, int64_t dim);

// Resamples the grid part of `embedding` ([1, prefix_tokens + from.rows * from.columns, D]) to `to`
// by antialiased bicubic interpolation in float32, as timm does, and keeps the prefix.
at::Tensor ResamplePositionEmbedding(const at::Tensor& embedding, int64_t prefix_tokens,
                                     const PatchGrid& from, const PatchGrid& to);

}  // namespace vit

#endif  // VIT_CORE_MODEL_POSITION_EMBEDDING_H_
