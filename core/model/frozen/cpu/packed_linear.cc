#include "core/model/frozen/cpu/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/native/CPUBlas.h>

#include <type_traits>
#include <vector>

#include "core/model/frozen/cpu/buffers.h"
#include "core/model/frozen/cpu/kernels.h"

namespace vit::frozen {
namespace {

template <typename T>
constexpr bool kPaired = std::is_same_v<T, at::BFloat16>;

}  // namespace

template <typename T>
void Multiply(const ProductSize& size, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
              float* c, int64_t c_stride, bool add) {
  at::native::cpublas::brgemm(size.rows, size.columns, size.inner, a_stride, b_stride, c_stride,
                              add, a, b, c, /*is_vnni=*/kPaired<T>);
}

template <typename T>
void EndProducts() {
  at::native::cpublas::brgemm_release(/*is_vnni=*/kPaired<T>);
}

template <typename T>
bool CanMultiply() {
  static const bool can = [] {
    constexpr int64_t kSide = 32;
    const std::vector<T> ones(kSide * kSide, static_cast<T>(1.0f));
    std::vector<float> product(kSide * kSide, 1.0f);
    try {
      Multiply<T>({kSide, kSide, kSide}, ones.data(), kSide, ones.data(), kSide, product.data(),
                  kSide, /*add=*/true);
      EndProducts<T>();
    } catch (const std::exception&) {
      return false;  // LibTorch says so for a processor that its kernels do not know
    }
    return product.front() == kSide + 1 && product.back() == kSide + 1;
  }();
  return can;
}

template <typename T>
PackedLinear<T>::PackedLinear(const FoldedLinear& linear) {
  if (!linear.exists()) return;
  const int64_t in = linear.weight.size(1), out = linear.weight.size(0);
  inputs_ = RoundUpToLine<T>(in);
  outputs_ = RoundUpToLanes(out);
  bias_ = PadColumns(linear.bias, outputs_);
  const at::Tensor transposed =  // [inputs, outputs]
      at::constant_pad_nd(linear.weight, {0, inputs_ - in, 0, outputs_ - out})
          .t()
          .to(c10::CppTypeToScalarType<T>::value)
          .contiguous();
  weights_ = at::empty({inputs_ * outputs_}, transposed.options());
  for (int64_t first = 0; first < outputs_; first += kBlock) {
    const int64_t columns = std::min(kBlock, outputs_ - first);
    const T* const from = transposed.const_data_ptr<T>() + first;
    T* const to = weights_.data_ptr<T>() + first * inputs_;
    if constexpr (kPaired<T>) {
      BestKernels<T>().pack(from, outputs_, inputs_, columns, to);
    } else {
      for (int64_t i = 0; i < inputs_; ++i) {
        std::copy_n(from + i * outputs_, columns, to + i * columns);
      }
    }
  }
}

template <typename T>
void PackedLinear<T>::Apply(const T* x, int64_t x_stride, int64_t rows,
                            vit::v1::Activation activation, T* out, int64_t out_stride,
                            float* tile) const {
  const Kernels<T>& kernels = BestKernels<T>();
  ForEachBlock(x, x_stride, rows, tile, [&](int64_t first, int64_t columns, const float* product) {
    kernels.activate(product, columns, bias() + first, rows, columns, activation, out + first,
                     out_stride);
  });
}

template bool CanMultiply<float>();
template bool CanMultiply<at::BFloat16>();
template void Multiply(const ProductSize&, const float*, int64_t, const float*, int64_t, float*,
                       int64_t, bool);
template void Multiply(const ProductSize&, const at::BFloat16*, int64_t, const at::BFloat16*,
                       int64_t, float*, int64_t, bool);
template void EndProducts<float>();
template void EndProducts<at::BFloat16>();
template class PackedLinear<float>;
template class PackedLinear<at::BFloat16>;

}  // namespace vit::frozen
