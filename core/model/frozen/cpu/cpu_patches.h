// How a frozen model turns images into tokens, on the CPU.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_CPU_PATCHES_H_
#define VIT_CORE_MODEL_FROZEN_CPU_CPU_PATCHES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/model/frozen/cpu/cpu_norm.h"
#include "core/model/frozen/cpu/kernels.h"
#include "core/model/frozen/cpu/packed_linear.h"
#include "core/model/frozen/frozen_transformer.h"

namespace vit::frozen {

// Cuts patches, projects them, adds positions and the tokens in front. T: float or at::BFloat16.
template <typename T>
class CpuPatches {
 public:
  using Image = FrozenTransformer::Image;

  // `stride`: of a row of the residual stream.
  CpuPatches(const vit::v1::ModelConfig& config, const FoldedWeights& weights, int64_t image_size,
             int64_t stride);

  // What a thread needs for itself.
  struct Scratch {
    at::Tensor patches;  // T [rows, patch values padded]
    at::Tensor pixels;   // float32, the same, if patches are normalised
  };
  Scratch MakeScratch() const;

  // Writes rows [first, last) of the images' tokens, [images * tokens, stride], to `x`.
  void Embed(absl::Span<const Image> images, int64_t first, int64_t last, float* x,
             Scratch* scratch) const;

 private:
  // Writes `count` tokens of the patches from `first` on.
  void Project(const Image& image, int64_t first, int64_t count, float* x, Scratch* scratch) const;
  void CutNormalized(const Image& image, int64_t first, int64_t count, Scratch* scratch) const;
  // `Value`: the type of `out`.
  template <typename Value>
  void Cut(const Image& image, int64_t first, int64_t count, Value* out, int64_t stride) const;

  const Kernels<T>& kernels_;
  const int64_t side_, patch_height_, patch_width_, prefix_, tokens_, stride_;
  const float eps_;
  const CpuNorm pixels_, patch_norm_, norm_pre_;
  const PackedLinear<T> projection_;
  const at::Tensor prefix_rows_, position_rows_;  // float32 [tokens, stride]
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_CPU_PATCHES_H_
