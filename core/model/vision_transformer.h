// The Vision Transformer (Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929) in timm's
// structure: parameters carry timm's names, so that named_parameters() is timm's state dict.
//
// Shapes: B pictures, C channels, S = image_size, P = patch_size, N tokens, D = embed_dim, H heads,
// K classes.
//
// There is one forward. The trainer, evaluation and Classify all call it. Only for the rooms that
// compute: LibTorch's exceptions pass through.
#ifndef VIT_CORE_MODEL_VISION_TRANSFORMER_H_
#define VIT_CORE_MODEL_VISION_TRANSFORMER_H_

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "vit/v1/model.pb.h"

namespace vit {

// y = x W^T + b with W = weight flattened to [out, in]; `shape` is that of weight: [out, in], or a
// convolution's [out, C, P, P]. Its values are not initialised: torch::nn's layers draw theirs from
// the process's random generator, whose state belongs to the run that trains.
class LinearImpl : public torch::nn::Module {
 public:
  explicit LinearImpl(at::IntArrayRef shape, bool with_bias = true);
  at::Tensor forward(const at::Tensor& x);  // [..., in] -> [..., out]

 private:
  at::Tensor weight_, bias_;
};
TORCH_MODULE(Linear);

// Multi-head self-attention: softmax(Q K^T / sqrt(D / H)) V, then a linear projection.
class AttentionImpl : public torch::nn::Module {
 public:
  explicit AttentionImpl(const vit::v1::ModelConfig& config);
  at::Tensor forward(const at::Tensor& x);  // [B, N, D] -> [B, N, D]

 private:
  int64_t num_heads_;
  double attn_drop_rate_, proj_drop_rate_;
  Linear qkv_{nullptr}, proj_{nullptr};
};
TORCH_MODULE(Attention);

// Linear, exact GELU, linear.
class MlpImpl : public torch::nn::Module {
 public:
  explicit MlpImpl(const vit::v1::ModelConfig& config);
  at::Tensor forward(const at::Tensor& x);  // [B, N, D] -> [B, N, D]

 private:
  double drop_rate_;
  Linear fc1_{nullptr}, fc2_{nullptr};
};
TORCH_MODULE(Mlp);

// Pre-norm residual block: x + Attention(LayerNorm(x)), then x + MLP(LayerNorm(x)); in training
// each branch is skipped for a sample with probability `drop_path_rate` and scaled up otherwise.
class BlockImpl : public torch::nn::Module {
 public:
  BlockImpl(const vit::v1::ModelConfig& config, double drop_path_rate);
  at::Tensor forward(const at::Tensor& x);  // [B, N, D] -> [B, N, D]

 private:
  double drop_path_rate_;
  torch::nn::LayerNorm norm1_{nullptr}, norm2_{nullptr};
  Attention attn_{nullptr};
  Mlp mlp_{nullptr};
};
TORCH_MODULE(Block);

// A strided convolution of P x P patches, computed as one matrix product.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  explicit PatchEmbedImpl(const vit::v1::ModelConfig& config);
  at::Tensor forward(const at::Tensor& images);  // [B, C, S, S] -> [B, (S / P)^2, D]

 private:
  int64_t patch_size_;
  Linear proj_{nullptr};
};
TORCH_MODULE(PatchEmbed);

class VisionTransformerImpl : public torch::nn::Module {
 public:
  // `config`: effective and valid. Weights are allocated but not initialised; nothing random is
  // drawn.
  explicit VisionTransformerImpl(const vit::v1::ModelConfig& config);

  // timm's initialisation, every value a function of (seed, parameter): linear weights and position
  // embedding normal with standard deviation 0.02, class token 1e-6, patch projection uniform in
  // +-1 / sqrt(fan in), biases 0, norms 1.
  void Initialize(uint64_t seed);

  // Normalised pictures [B, C, S, S] -> logits [B, K]. Drops features only in training mode
  // (is_training()).
  at::Tensor forward(const at::Tensor& images);

  // Tokens after the last block and its norm, where it has one: [B, N, D].
  at::Tensor ForwardFeatures(const at::Tensor& images);

  const vit::v1::ModelConfig& config() const { return config_; }

 private:
  vit::v1::ModelConfig config_;
  at::Tensor cls_token_, pos_embed_;  // [1, 1, D], [1, N, D]
  PatchEmbed patch_embed_{nullptr};
  std::vector<Block> blocks_;
  torch::nn::LayerNorm norm_{nullptr}, fc_norm_{nullptr};
  Linear head_{nullptr};
};
TORCH_MODULE(VisionTransformer);

// Whether weight decay applies to the parameter of this name: matrices and the patch projection,
// but not biases, norms, the class token or the position embedding.
bool HasWeightDecay(const std::string& name, const at::Tensor& parameter);

}  // namespace vit

#endif  // VIT_CORE_MODEL_VISION_TRANSFORMER_H_
