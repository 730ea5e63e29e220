// What a frozen model computes between its matrix products, for the processor that it runs on.
//
// Matrices are row-major. `stride`: values from a row to the next. Columns are a whole number of
// vectors (kLanes); the padding beyond the values of a row is 0, before and after. T: float, or
// at::BFloat16, which is computed in float.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_KERNELS_H_
#define VIT_CORE_MODEL_FROZEN_CPU_KERNELS_H_

#include <c10/util/BFloat16.h>

#include <cstdint>

#include "vit/v1/model.pb.h"

namespace vit::frozen {

// Rows of float32 that a norm reads.
struct NormInput {
  const float* x;
  int64_t stride;
  const float* offset;  // added to each row; null for none
  int64_t rows;
  int64_t size;  // values of a row, without padding
  float eps;
};

// The norm of queries or keys.
struct HeadNorm {
  const float *weight, *bias;  // [size padded]
  int64_t heads, stride;       // `stride`: values from a head to the next
  int64_t size;                // without padding
  float eps;
};

template <typename T>
struct Kernels {
  // out = (x - mean) / sqrt(variance + eps) of each row, [rows, size padded]
  void (*normalize)(const NormInput& in, T* out, int64_t out_stride);
  // The same, * weight + bias.
  void (*normalize_affine)(const NormInput& in, const float* weight, const float* bias, float* out,
                           int64_t out_stride);
  // out = x + offset
  void (*convert)(const NormInput& in, T* out, int64_t out_stride);

  // out = activation(in + bias). ACTIVATION_UNSPECIFIED applies none.
  void (*activate)(const float* in, int64_t stride, const float* bias, int64_t rows,
                   int64_t columns, vit::v1::Activation activation, T* out, int64_t out_stride);

  // out = exp(score - the row's largest), 0 in the padding; factors = 1 / the row's sum.
  // `columns`: without padding.
  void (*exponentiate)(float* scores, int64_t stride, int64_t rows, int64_t columns, T* out,
                       int64_t out_stride, float* factors);
  // out = in * the row's factor
  void (*scale_rows)(const float* in, int64_t stride, const float* factors, int64_t rows,
                     int64_t columns, T* out, int64_t out_stride);

  // Normalises each head of each row, in place.
  void (*normalize_heads)(T* x, int64_t stride, int64_t rows, const HeadNorm& norm);

  // Puts a matrix where the second operand of a product is read (PackedLinear): `packed` has a row
  // for each column of `in`, or for each row.
  void (*pack_transposed)(const T* in, int64_t stride, int64_t rows, int64_t columns, T* packed,
                          int64_t packed_columns);
  void (*pack)(const T* in, int64_t stride, int64_t rows, int64_t columns, T* packed);

  // Cuts an image [3, height, width] into patches, [patches, 3 * patch height * patch width padded
  // to `stride`], of byte - kByteCentre.
  void (*cut_patches)(const uint8_t* image, int64_t side, int64_t patch_height, int64_t patch_width,
                      int64_t first, int64_t count, T* out, int64_t stride);
  // The same of values that need not be whole.
  void (*cut_float_patches)(const float* image, int64_t side, int64_t patch_height,
                            int64_t patch_width, int64_t first, int64_t count, T* out,
                            int64_t stride);
};

// Returns the fastest kernels of this processor.
template <typename T>
const Kernels<T>& BestKernels();

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_KERNELS_H_
