// Small matrices in a thread's scratch memory and their products, for kernels with AVX-512. x86-64
// with GCC only.
//
// In scratch memory matrices are float32, row-major and without gaps; their columns are a whole
// number of vectors. Elsewhere they are float32 or bfloat16, of any number of columns, with
// `stride` values from a row to the next.
#ifndef VIT_CORE_MODEL_SCRATCH_MATRIX_H_
#define VIT_CORE_MODEL_SCRATCH_MATRIX_H_

#include <algorithm>
#include <cstdint>

#include "core/model/vectors.h"

#define VIT_AVX512 __attribute__((target("arch=x86-64-v4,prefer-vector-width=512")))

namespace vit::avx512 {

// out = factor * in; the padding of the columns of `out` becomes 0.
template <typename T>
VIT_AVX512 void LoadMatrix(const T* in, int64_t rows, int64_t stride, int64_t columns, float factor,
                           float* out) {
  for (int64_t i = 0; i < rows; ++i, in += stride, out += RoundUpToLanes(columns)) {
    int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) Store(Load(in + j) * factor, out + j);
    if (j < columns) Store(LoadPart(in + j, columns - j) * factor, out + j);
  }
}

// out = factor * in.
template <typename T>
VIT_AVX512 void StoreMatrix(const float* in, int64_t rows, int64_t columns, float factor, T* out,
                            int64_t stride) {
  for (int64_t i = 0; i < rows; ++i, in += RoundUpToLanes(columns), out += stride) {
    int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) Store(Load(in + j) * factor, out + j);
    if (j < columns) StorePart(Load(in + j) * factor, columns - j, out + j);
  }
}

// Transposes 16 x 16 values: in each of four rounds, pairs of rows swap ever larger blocks.
VIT_AVX512 VIT_INLINE void Transpose(Floats (&rows)[kLanes]) {
  using Lanes = int32_t __attribute__((vector_size(64)));
  constexpr Lanes kLow[] = {
      {0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30},
      {0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29},
      {0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27},
      {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
  };
  for (int round = 0; round < 4; ++round) {
    const int step = 1 << round;
    for (int i = 0; i < kLanes; ++i) {
      if (i & step) continue;
      const Floats low = __builtin_shuffle(rows[i], rows[i + step], kLow[round]);
      rows[i + step] = __builtin_shuffle(rows[i], rows[i + step], kLow[round] + step);
      rows[i] = low;
    }
  }
}

// out [RoundUpToLanes(columns), RoundUpToLanes(rows)] = the transpose of `in`; padding becomes 0.
template <typename T>
VIT_AVX512 void LoadTransposed(const T* in, int64_t rows, int64_t stride, int64_t columns,
                               float* out) {
  for (int64_t i = 0; i < rows; i += kLanes) {
    for (int64_t j = 0; j < columns; j += kLanes) {
      Floats tile[kLanes] = {};
      for (int64_t r = 0; r < std::min(kLanes, rows - i); ++r) {
        const T* const from = in + (i + r) * stride + j;
        tile[r] = j + kLanes <= columns ? Load(from) : LoadPart(from, columns - j);
      }
      Transpose(tile);
      for (int r = 0; r < kLanes; ++r) Store(tile[r], out + (j + r) * RoundUpToLanes(rows) + i);
    }
  }
}

// A factor of a product: its values, and the strides from row to row and from column to column.
struct Factor {
  const float* values;
  int64_t row_stride, column_stride = 1;
};
// The transpose of a matrix in scratch memory.
inline Factor Transposed(const float* values, int64_t columns) { return {values, 1, columns}; }

// [rows, columns] = [rows, inner] * [inner, columns]
struct ProductShape {
  int64_t rows, columns, inner;
};

namespace internal {

// kRows rows and kVectors vectors of a product, held in registers.
template <int kRows, int kVectors>
VIT_AVX512 VIT_INLINE void MultiplyTile(const ProductShape& shape, const Factor& a, const float* b,
                                        float* c, bool add) {
  Floats sums[kRows][kVectors] = {};
  if (add) {
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Load(c + r * shape.columns + v * kLanes);
    }
  }
  for (int64_t k = 0; k < shape.inner; ++k) {
    Floats right[kVectors];
    for (int v = 0; v < kVectors; ++v) right[v] = Load(b + k * shape.columns + v * kLanes);
    for (int r = 0; r < kRows; ++r) {
      const float left = a.values[r * a.row_stride + k * a.column_stride];
      for (int v = 0; v < kVectors; ++v) sums[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) Store(sums[r][v], c + r * shape.columns + v * kLanes);
  }
}

template <int kRows>
VIT_AVX512 VIT_INLINE void MultiplyRows(const ProductShape& shape, const Factor& a, const float* b,
                                        float* c, bool add) {
  int64_t left = shape.columns / kLanes;
  const auto take = [&](int vectors) {
    left -= vectors;
    b += vectors * kLanes;
    c += vectors * kLanes;
  };
  // Four at a time, and the last five or six as one tile or two: a tile of one or two leaves
  // registers idle.
  for (; left == 4 || left > 6; take(4)) MultiplyTile<kRows, 4>(shape, a, b, c, add);
  if (left == 5) {
    MultiplyTile<kRows, 5>(shape, a, b, c, add);
    return;
  }
  for (; left >= 3; take(3)) MultiplyTile<kRows, 3>(shape, a, b, c, add);
  for (; left >= 2; take(2)) MultiplyTile<kRows, 2>(shape, a, b, c, add);
  for (; left >= 1; take(1)) MultiplyTile<kRows, 1>(shape, a, b, c, add);
}

}  // namespace internal

// c = a b, or c += a b if `add`. `b` and `c` are in scratch memory.
VIT_AVX512 inline void Multiply(const ProductShape& shape, Factor a, const float* b, float* c,
                                bool add = false) {
  constexpr int kRows = 5;
  int64_t i = 0;
  const auto next = [&](int rows) {
    i += rows;
    a.values += rows * a.row_stride;
    c += rows * shape.columns;
  };
  for (; i + kRows <= shape.rows; next(kRows)) internal::MultiplyRows<kRows>(shape, a, b, c, add);
  for (; i + 2 <= shape.rows; next(2)) internal::MultiplyRows<2>(shape, a, b, c, add);
  for (; i < shape.rows; next(1)) internal::MultiplyRows<1>(shape, a, b, c, add);
}

}  // namespace vit::avx512

#endif  // VIT_CORE_MODEL_SCRATCH_MATRIX_H_
