// A norm of a frozen model on the CPU, with its padding.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_CPU_NORM_H_
#define VIT_CORE_MODEL_FROZEN_CPU_CPU_NORM_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/model/frozen/folded_weights.h"

namespace vit::frozen {

class CpuNorm {
 public:
  CpuNorm() = default;
  explicit CpuNorm(const FoldedNorm& norm);

  bool exists() const { return weight_.defined(); }
  const float* weight() const { return weight_.const_data_ptr<float>(); }
  const float* bias() const { return bias_.const_data_ptr<float>(); }
  float eps() const { return eps_; }

  // out = norm(x + offset). x, out: [rows, stride], which may be the same; `offset`: [size], null
  // for none.
  void Apply(const float* x, const float* offset, int64_t rows, int64_t stride, float* out) const;

 private:
  int64_t size_ = 0;
  at::Tensor weight_, bias_;  // [size padded]
  float eps_ = 0;
  bool normalizes_ = true;
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_CPU_NORM_H_
