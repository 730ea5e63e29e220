// The parts of a Vision Transformer block.
//
// Shapes: B images, C channels, P x Q pixels of a patch, N tokens, D = embed_dim, H heads.
#ifndef VIT_CORE_MODEL_LAYERS_H_
#define VIT_CORE_MODEL_LAYERS_H_

#include <torch/torch.h>

#include <cstdint>

#include "core/model/add_norm.h"
#include "vit/v1/model.pb.h"

namespace vit {

// y = x W^T + b with W = weight flattened to [out, in]; `shape` is that of weight: [out, in], or a
// convolution's [out, C, P, Q]. Its values are not initialised: torch::nn's layers draw theirs from
// the process's random generator, whose state belongs to the run that trains.
class LinearImpl : public torch::nn::Module {
 public:
  explicit LinearImpl(at::IntArrayRef shape, bool with_bias = true);
  at::Tensor forward(const at::Tensor& x);  // [..., in] -> [..., out]
  // On the CPU, leaves the bias to the next kernel: there, unlike on a device, adding it to the
  // product costs time.
  LinearOutput ForwardWithoutBias(const at::Tensor& x);

 private:
  at::Tensor weight_, bias_;
};
TORCH_MODULE(Linear);

// Normalises the last dimension of [..., size]: each row over itself (LayerNorm), or each feature
// over all rows (BatchNorm, with torch.nn.BatchNorm2d's buffers and momentum).
class NormImpl : public torch::nn::Module {
 public:
  NormImpl(int64_t size, double eps, vit::v1::NormLayer type = vit::v1::NORM_LAYER_LAYER_NORM);
  at::Tensor forward(const at::Tensor& x);
  // Returns the sum of `residual` and its norm, which is of `type` if that saves a cast.
  AddedAndNormalized Add(const Residual& residual, at::ScalarType type);

 private:
  const double eps_;
  at::Tensor weight_, bias_;
  at::Tensor running_mean_, running_var_, num_batches_tracked_;  // of BatchNorm
};
TORCH_MODULE(Norm);

// Multi-head self-attention: softmax(Q K^T / sqrt(D / H)) V, then a linear projection.
class AttentionImpl : public torch::nn::Module {
 public:
  explicit AttentionImpl(const vit::v1::ModelConfig& config);
  // [B, N, D] -> [B, N, D]. `leave_bias`: leaves the bias to the norm that adds the output.
  // `weights`, if given, receives the weights after the softmax, [B, H, N, N].
  LinearOutput forward(const at::Tensor& x, bool leave_bias, at::Tensor* weights = nullptr);

 private:
  // Draws which scores take part, [B, H, N, N]; undefined for all.
  at::Tensor DrawMask(const at::Tensor& query) const;
  // Applies the last layer to the concatenated outputs of the heads: [B, N, D] -> [B, N, D].
  LinearOutput Project(const at::Tensor& joined, bool leave_bias);

  int64_t num_heads_;
  double attn_drop_rate_, attn_mask_rate_, proj_drop_rate_;
  double scale_;
  Linear qkv_{nullptr}, proj_{nullptr};
  Norm q_norm_{nullptr}, k_norm_{nullptr};
};
TORCH_MODULE(Attention);

// Linear, the activation of the config, linear.
class MlpImpl : public torch::nn::Module {
 public:
  explicit MlpImpl(const vit::v1::ModelConfig& config);
  // [B, N, D] -> [B, N, D]. `leave_bias` as in AttentionImpl.
  LinearOutput forward(const at::Tensor& x, bool leave_bias);

 private:
  double drop_rate_;
  vit::v1::Activation activation_;
  Linear fc1_{nullptr}, fc2_{nullptr};
};
TORCH_MODULE(Mlp);

// A learned factor for each feature.
class LayerScaleImpl : public torch::nn::Module {
 public:
  explicit LayerScaleImpl(int64_t size);
  at::Tensor forward(const at::Tensor& x) { return x * gamma_; }

 private:
  at::Tensor gamma_;
};
TORCH_MODULE(LayerScale);

// Pre-norm residual block: x + Attention(Norm(x)), then x + MLP(Norm(x)), each branch with its
// LayerScale if the config asks for it; in training each branch is skipped for a sample with
// probability `drop_path_rate` and scaled up otherwise.
class BlockImpl : public torch::nn::Module {
 public:
  // `norm1` and `norm2`: the norms that all blocks share, if they do; these are not the block's own
  // parameters.
  BlockImpl(const vit::v1::ModelConfig& config, double drop_path_rate, Norm norm1 = nullptr,
            Norm norm2 = nullptr);
  // `attention_weights` as in AttentionImpl.
  Residual forward(const Residual& in, at::Tensor* attention_weights = nullptr);

 private:
  // Returns what a branch adds, given the output of its last layer.
  LinearOutput Scaled(const LinearOutput& branch, LayerScale& scale) const;

  double drop_path_rate_;
  Norm norm1_{nullptr}, norm2_{nullptr};
  Attention attn_{nullptr};
  Mlp mlp_{nullptr};
  LayerScale ls1_{nullptr}, ls2_{nullptr};
};
TORCH_MODULE(Block);

// A strided convolution of P x Q patches, computed as one matrix product.
class PatchEmbedImpl : public torch::nn::Module {
 public:
  explicit PatchEmbedImpl(const vit::v1::ModelConfig& config);
  // [B, C, rows * P, columns * Q] -> [B, rows * columns, D]
  at::Tensor forward(const at::Tensor& images);

 private:
  int64_t patch_height_, patch_width_;
  Norm input_norm_{nullptr}, norm_{nullptr};
  Linear proj_{nullptr};
};
TORCH_MODULE(PatchEmbed);

// Returns `x`, while `training` with features dropped at `rate` and the others scaled up.
at::Tensor Dropout(const at::Tensor& x, double rate, bool training);

// Makes the norm that `config` asks for in its blocks and after them.
Norm MakeNorm(const vit::v1::ModelConfig& config);

}  // namespace vit

#endif  // VIT_CORE_MODEL_LAYERS_H_
