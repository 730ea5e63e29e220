// What a frozen model computes after its blocks, on the CPU.
#ifndef VIT_CORE_MODEL_FROZEN_CPU_CPU_HEAD_H_
#define VIT_CORE_MODEL_FROZEN_CPU_CPU_HEAD_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/model/frozen/cpu/cpu_norm.h"
#include "core/model/frozen/cpu/kernels.h"
#include "core/model/frozen/cpu/packed_linear.h"
#include "core/model/frozen/frozen_transformer.h"
#include "core/model/frozen/output.h"

namespace vit::frozen {

// Final norm, pooling, head. T: float or at::BFloat16.
template <typename T>
class CpuHead {
 public:
  using Output = FrozenTransformer::Output;

  // `stride`: of a row of the residual stream. `end_offset`: [stride], what it lacks after the last
  // block.
  CpuHead(const vit::v1::ModelConfig& config, const FoldedWeights& weights, int64_t tokens,
          int64_t stride, at::Tensor end_offset);

  // The tokens of an image that Finish takes: all of them, or those in front that suffice.
  int64_t NeededTokens(Output output) const {
    return frozen::NeededTokens(config_, tokens_, output);
  }
  int64_t OutputSize(Output output) const { return frozen::OutputSize(config_, tokens_, output); }

  // What a thread needs for itself, for `images` images at a time.
  struct Scratch {
    at::Tensor tokens;               // float32 [tokens, stride]
    at::Tensor features, distilled;  // float32 [images, features padded]
    at::Tensor in, represented;      // T [images, features padded]
    at::Tensor tile;                 // float32 [images, PackedLinear::kBlock]
  };
  Scratch MakeScratch(int64_t images) const;

  // Computes the output of `images` images, [images, OutputSize]. x: [NeededTokens, stride] of each
  // image, one after the other.
  void Finish(Output output, const float* x, int64_t images, float* out, Scratch* scratch) const;

 private:
  // Writes the features that are pooled from `tokens`, [tokens, stride].
  void Pool(const float* tokens, float* pooled) const;
  // Adds `factor` times the logits of `features`, [count, features padded], to `logits`, [count,
  // stride].
  void AddLogits(const PackedLinear<T>& head, const at::Tensor& features, int64_t count,
                 float factor, float* logits, int64_t stride, Scratch* scratch) const;
  // Applies the layer between pooling and head to scratch->in.
  void Represent(int64_t count, Scratch* scratch) const;

  const Kernels<T>& kernels_;
  const vit::v1::ModelConfig config_;
  const int64_t tokens_, stride_, dim_, features_;
  const at::Tensor end_offset_;
  const CpuNorm norm_, fc_norm_;
  const PackedLinear<T> pre_logits_, head_, head_dist_;
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_CPU_CPU_HEAD_H_
