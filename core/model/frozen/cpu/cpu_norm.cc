#include "core/model/frozen/cpu/cpu_norm.h"

#include "core/model/frozen/cpu/buffers.h"
#include "core/model/frozen/cpu/kernels.h"

namespace vit::frozen {

CpuNorm::CpuNorm(const FoldedNorm& norm) {
  if (!norm.exists()) return;
  size_ = norm.weight.size(0);
  weight_ = PadColumns(norm.weight, RoundUpToLanes(size_));
  bias_ = PadColumns(norm.bias, RoundUpToLanes(size_));
  eps_ = static_cast<float>(norm.eps);
  normalizes_ = norm.normalizes;
}

void CpuNorm::Apply(const float* x, const float* offset, int64_t rows, int64_t stride,
                    float* out) const {
  const float* const weight = this->weight();
  const float* const bias = this->bias();
  if (normalizes_) {
    return BestKernels<float>().normalize_affine({x, stride, offset, rows, size_, eps_}, weight,
                                                 bias, out, stride);
  }
  for (int64_t row = 0; row < rows; ++row, x += stride, out += stride) {
    for (int64_t i = 0; i < size_; ++i) {
      out[i] = (offset == nullptr ? x[i] : x[i] + offset[i]) * weight[i] + bias[i];
    }
  }
}

}  // namespace vit::frozen
