// FrozenTransformer by LibTorch's operators, on any device.
#ifndef VIT_CORE_MODEL_FROZEN_TENSOR_TRANSFORMER_H_
#define VIT_CORE_MODEL_FROZEN_TENSOR_TRANSFORMER_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/compute/cuda_driver.h"
#include "core/base/mutex.h"
#include "core/model/frozen/folded_weights.h"
#include "core/model/frozen/frozen_transformer.h"

namespace vit::frozen {

// On a CUDA device, Record turns the operators of a small batch into a graph, which one call
// starts.
class TensorTransformer : public FrozenTransformer {
 public:
  TensorTransformer(const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
                    const Options& options);
  ~TensorTransformer() override;

  // On the CPU, with as many of LibTorch's threads as the team has.
  void Compute(absl::Span<const Image> images, Output output, ComputeTeam* team,
               float* out) const override;
  void Record(int64_t images, Output output) const override;
  int64_t OutputSize(Output output) const override;

 private:
  // In the type that products read.
  struct Layer {
    at::Tensor weight, bias;
    bool exists() const { return weight.defined(); }
    at::Tensor operator()(const at::Tensor& x) const;
  };
  struct Block {
    Layer qkv, proj, fc1, fc2;
    FoldedNorm q_norm, k_norm;
  };
  // What the device computes for a number of images, and where the result is then.
  struct Recording {
    CudaGraph graph;
    at::Tensor result;
  };
  using Key = std::pair<int64_t, Output>;  // images, output

  Layer MakeLayer(const FoldedLinear& linear) const;
  FoldedNorm MakeNorm(const FoldedNorm& norm) const;
  void ComputeOnDevice(const at::Tensor& images, Output output, float* out) const;
  // Returns [B, OutputSize], on the device, of images [B, 3, S, S] on the host; runs a recording if
  // there is one.
  at::Tensor Run(const at::Tensor& images, Output output) const VIT_REQUIRES(mu_);

  // Returns float32 [B, OutputSize] of bytes or of values on their scale, [B, 3, S, S].
  at::Tensor Forward(const at::Tensor& images, Output output) const;
  at::Tensor Embed(const at::Tensor& images) const;
  // `queries`: of how many tokens, from the first on, the block's output is needed.
  at::Tensor Apply(const Block& block, const at::Tensor& x, int64_t queries) const;
  at::Tensor Pool(const at::Tensor& tokens) const;
  at::Tensor Logits(const Layer& head, const at::Tensor& features) const;
  // x as the layers after the blocks' norms read it.
  at::Tensor Normalized(const at::Tensor& x) const;

  const vit::v1::ModelConfig config_;
  const int64_t image_size_;
  const c10::Device device_;
  const at::ScalarType type_;  // of products
  const std::optional<c10::Stream> stream_;
  const int64_t at_once_;  // images that are computed together
  bool normalizes_ = true;
  double eps_ = 0;
  Layer patches_;
  FoldedNorm pixels_, patch_norm_, norm_pre_, norm_, fc_norm_;
  at::Tensor prefix_, positions_;
  std::vector<Block> blocks_;
  Layer pre_logits_, head_, head_dist_;
  // Held while a batch is handed to the device, not while it is computed. Recordings read the first
  // images of input_, bytes.
  mutable Mutex mu_;
  mutable at::Tensor input_ VIT_GUARDED_BY(mu_);
  mutable std::map<Key, Recording> recordings_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_TENSOR_TRANSFORMER_H_
