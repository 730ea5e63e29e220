// Matrix products of a frozen model, by oneDNN's kernels for small matrices (brgemm), which
// LibTorch shows. They run on the calling thread alone and go through no dispatcher.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_PACKED_LINEAR_H_
#define VIT_CORE_MODEL_FROZEN_CPU_PACKED_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "core/model/frozen/folded_weights.h"
#include "core/model/lanes.h"
#include "vit/v1/model.pb.h"

namespace vit::frozen {

// The columns of what a product reads are a whole number of cache lines.
template <typename T>
constexpr int64_t kLineValues = 64 / sizeof(T);
template <typename T>
constexpr int64_t RoundUpToLine(int64_t count) {
  return (count + kLineValues<T> - 1) / kLineValues<T> * kLineValues<T>;
}

// Whether this processor, and LibTorch's build, multiply T so.
template <typename T>
bool CanMultiply();

struct ProductSize {
  int64_t rows, columns, inner;
};

// c = a b, or c += a b if `add`. a: [rows, inner]; b: [inner, columns], for bfloat16 with pairs of
// rows interleaved: [inner / 2, columns, 2] (Kernels::pack); c: [rows, columns].
template <typename T>
void Multiply(const ProductSize& size, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
              float* c, int64_t c_stride, bool add);

// Tells oneDNN that the calling thread has no more products for now.
template <typename T>
void EndProducts();

// y = W x + b, with W where products read it.
template <typename T>
class PackedLinear {
 public:
  PackedLinear() = default;
  explicit PackedLinear(const FoldedLinear& linear);

  bool exists() const { return outputs_ > 0; }
  // Both padded: to cache lines of T, and to vectors.
  int64_t inputs() const { return inputs_; }
  int64_t outputs() const { return outputs_; }
  const float* bias() const { return bias_.const_data_ptr<float>(); }

  // y += W x of `rows` rows, without the bias. x: [rows, inputs], y: [rows, outputs].
  void Add(const T* x, int64_t x_stride, int64_t rows, float* y, int64_t y_stride) const {
    for (int64_t first = 0; first < outputs_; first += kBlock) {
      const int64_t columns = std::min(kBlock, outputs_ - first);
      Multiply<T>({rows, columns, inputs_}, x, x_stride, Block(first), columns, y + first, y_stride,
                  /*add=*/true);
    }
  }

  // Calls use(first, columns, product) for every block of `columns` outputs from `first` on:
  // product is W x, [rows, columns], in `tile`, which has room for [rows, kBlock].
  template <typename Use>
  void ForEachBlock(const T* x, int64_t x_stride, int64_t rows, float* tile, const Use& use) const {
    for (int64_t first = 0; first < outputs_; first += kBlock) {
      const int64_t columns = std::min(kBlock, outputs_ - first);
      Multiply<T>({rows, columns, inputs_}, x, x_stride, Block(first), columns, tile, columns,
                  /*add=*/false);
      use(first, columns, tile);
    }
  }

  // out = activation(W x + b). out: [rows, outputs]; `tile` as in ForEachBlock.
  void Apply(const T* x, int64_t x_stride, int64_t rows, vit::v1::Activation activation, T* out,
             int64_t out_stride, float* tile) const;

  // Outputs that are computed together.
  static constexpr int64_t kBlock = 64;

 private:
  const T* Block(int64_t first) const { return weights_.const_data_ptr<T>() + first * inputs_; }

  int64_t inputs_ = 0, outputs_ = 0;
  at::Tensor weights_;  // blocks side by side, each [inputs, columns], packed
  at::Tensor bias_;     // float32 [outputs]
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_PACKED_LINEAR_H_
