#include "core/model/layers.h"

#include <cmath>
#include <utility>
#include <vector>

#include "core/model/autocast.h"
#include "core/model/gelu.h"
#include "core/model/model_config.h"
#include "core/model/short_attention.h"

namespace vit {
namespace {

using ::vit::v1::ModelConfig;

constexpr double kBatchNormMomentum = 0.1;  // torch.nn.BatchNorm2d's

// Stochastic depth: zero for a sample with probability `rate`, scaled by 1 / (1 - rate) otherwise.
at::Tensor DropPath(const at::Tensor& branch, double rate) {
  const double keep = 1 - rate;
  return branch * at::empty({branch.size(0), 1, 1}, branch.options()).bernoulli_(keep).div_(keep);
}

// Applies the last layer of a branch, with dropout at `rate` after it.
LinearOutput LastLayer(Linear& layer, const at::Tensor& x, bool leave_bias, double rate,
                       bool training) {
  if (leave_bias && (!training || rate == 0)) return layer->ForwardWithoutBias(x);
  return {Dropout(layer->forward(x), rate, training), {}};
}

}  // namespace

at::Tensor Dropout(const at::Tensor& x, double rate, bool training) {
  return training && rate > 0 ? at::dropout(x, rate, /*train=*/true) : x;
}

Norm MakeNorm(const ModelConfig& config) {
  return Norm(config.embed_dim(), config.layer_norm_eps(), config.norm_layer());
}

LinearImpl::LinearImpl(at::IntArrayRef shape, bool with_bias) {
  weight_ = register_parameter("weight", at::empty(shape));
  if (with_bias) bias_ = register_parameter("bias", at::empty(shape[0]));
}

at::Tensor LinearImpl::forward(const at::Tensor& x) {
  return at::linear(x, weight_.flatten(1), bias_);
}

LinearOutput LinearImpl::ForwardWithoutBias(const at::Tensor& x) {
  if (!x.device().is_cpu()) return {forward(x), {}};
  return {at::linear(x, weight_.flatten(1)), bias_};
}

NormImpl::NormImpl(int64_t size, double eps, vit::v1::NormLayer type) : eps_(eps) {
  weight_ = register_parameter("weight", at::empty(size));
  bias_ = register_parameter("bias", at::empty(size));
  if (type == vit::v1::NORM_LAYER_BATCH_NORM) {
    running_mean_ = register_buffer("running_mean", at::zeros(size));
    running_var_ = register_buffer("running_var", at::ones(size));
    num_batches_tracked_ = register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
  }
}

at::Tensor NormImpl::forward(const at::Tensor& x) {
  if (!running_mean_.defined()) {
    return at::layer_norm(x, weight_.sizes(), weight_, bias_, eps_);
  }
  if (is_training()) num_batches_tracked_ += 1;
  return at::batch_norm(x.flatten(0, -2), weight_, bias_, running_mean_, running_var_,
                        is_training(), kBatchNormMomentum, eps_, /*cudnn_enabled=*/true)
      .view(x.sizes());
}

AddedAndNormalized NormImpl::Add(const Residual& residual, at::ScalarType type) {
  if (!running_mean_.defined()) {
    return AddNorm(residual, weight_, bias_, eps_, type);
  }
  const at::Tensor sum = residual.Value();
  return {sum, forward(sum)};
}

AttentionImpl::AttentionImpl(const ModelConfig& config)
    : num_heads_(config.num_heads()),
      attn_drop_rate_(config.attn_drop_rate()),
      attn_mask_rate_(config.attn_mask_rate()),
      proj_drop_rate_(config.proj_drop_rate()) {
  const int64_t dim = config.embed_dim(), head_dim = dim / num_heads_;
  scale_ = 1 / std::sqrt(static_cast<double>(config.scale_by_embed_dim() ? dim : head_dim));
  qkv_ = register_module("qkv", Linear(at::IntArrayRef{3 * dim, dim}, config.qkv_bias()));
  if (config.qk_norm()) {
    q_norm_ = register_module("q_norm", Norm(head_dim, config.layer_norm_eps()));
    k_norm_ = register_module("k_norm", Norm(head_dim, config.layer_norm_eps()));
  }
  if (config.attn_proj()) {
    proj_ = register_module("proj", Linear(at::IntArrayRef{dim, dim}, config.proj_bias()));
  }
}

at::Tensor AttentionImpl::DrawMask(const at::Tensor& query) const {
  if (!is_training() || attn_mask_rate_ == 0) return {};
  const int64_t tokens = query.size(1);
  const at::Tensor kept = at::empty({query.size(0), num_heads_, tokens, tokens},
                                    query.options().dtype(at::kBool).requires_grad(false))
                              .bernoulli_(1 - attn_mask_rate_);
  return kept.logical_or_(kept.any(-1, /*keepdim=*/true).logical_not_());
}

LinearOutput AttentionImpl::forward(const at::Tensor& x, bool leave_bias, at::Tensor* weights) {
  const int64_t batch = x.size(0), tokens = x.size(1), dim = x.size(2);
  const at::Tensor joined_qkv =
      qkv_->forward(x).view({batch, tokens, 3, num_heads_, dim / num_heads_});
  const bool plain = !q_norm_ && weights == nullptr &&
                     (!is_training() || (attn_mask_rate_ == 0 && attn_drop_rate_ == 0));
  if (plain && TakesShortAttention(joined_qkv)) {
    return Project(ShortAttention(joined_qkv, scale_).view({batch, tokens, dim}), leave_bias);
  }
  // Split on the dimension that keeps the layout of the gradients: they are joined again without
  // another copy.
  const std::vector<at::Tensor> qkv = joined_qkv.unbind(2);  // 3 of [B, N, H, D/H]
  const at::Tensor query = q_norm_ ? q_norm_->forward(qkv[0]) : qkv[0];
  const at::Tensor key = k_norm_ ? k_norm_->forward(qkv[1]) : qkv[1];
  const at::Tensor mask = DrawMask(query);
  if (weights != nullptr) {
    const at::Tensor scores = at::matmul(query.transpose(1, 2) * scale_, key.permute({0, 2, 3, 1}));
    *weights =
        (mask.defined() ? scores.masked_fill(mask.logical_not(), -INFINITY) : scores).softmax(-1);
  }
  const at::Tensor heads = at::scaled_dot_product_attention(  // [B, H, N, D/H]
      query.transpose(1, 2), key.transpose(1, 2), qkv[2].transpose(1, 2),
      mask.defined() ? std::make_optional(mask) : std::nullopt,
      is_training() ? attn_drop_rate_ : 0.0, /*is_causal=*/false, scale_);
  return Project(heads.transpose(1, 2).reshape({batch, tokens, dim}), leave_bias);
}

LinearOutput AttentionImpl::Project(const at::Tensor& joined, bool leave_bias) {
  if (!proj_) return {Dropout(joined, proj_drop_rate_, is_training()), {}};
  return LastLayer(proj_, joined, leave_bias, proj_drop_rate_, is_training());
}

MlpImpl::MlpImpl(const ModelConfig& config)
    : drop_rate_(config.proj_drop_rate()), activation_(config.activation()) {
  const int64_t dim = config.embed_dim(), hidden = MlpHiddenDim(config);
  fc1_ = register_module("fc1", Linear(at::IntArrayRef{hidden, dim}));
  fc2_ = register_module("fc2", Linear(at::IntArrayRef{dim, hidden}));
}

LinearOutput MlpImpl::forward(const at::Tensor& x, bool leave_bias) {
  const at::Tensor hidden = activation_ == vit::v1::ACTIVATION_GELU
                                ? Gelu(fc1_->ForwardWithoutBias(x))
                                : Activate(fc1_->forward(x), activation_);
  return LastLayer(fc2_, Dropout(hidden, drop_rate_, is_training()), leave_bias, drop_rate_,
                   is_training());
}

LayerScaleImpl::LayerScaleImpl(int64_t size) {
  gamma_ = register_parameter("gamma", at::empty(size));
}

BlockImpl::BlockImpl(const ModelConfig& config, double drop_path_rate, Norm norm1, Norm norm2)
    : drop_path_rate_(drop_path_rate) {
  const auto scale = [&](const char* name) {
    return config.init_values() == 0 ? LayerScale(nullptr)
                                     : register_module(name, LayerScale(config.embed_dim()));
  };
  norm1_ = norm1 ? std::move(norm1) : register_module("norm1", MakeNorm(config));
  attn_ = register_module("attn", Attention(config));
  ls1_ = scale("ls1");
  norm2_ = norm2 ? std::move(norm2) : register_module("norm2", MakeNorm(config));
  mlp_ = register_module("mlp", Mlp(config));
  ls2_ = scale("ls2");
}

LinearOutput BlockImpl::Scaled(const LinearOutput& branch, LayerScale& scale) const {
  const bool drops = is_training() && drop_path_rate_ > 0;
  if (!scale && !drops) return branch;
  const at::Tensor scaled = scale ? scale->forward(branch.Value()) : branch.Value();
  return {drops ? DropPath(scaled, drop_path_rate_) : scaled, {}};
}

Residual BlockImpl::forward(const Residual& in, at::Tensor* attention_weights) {
  const at::ScalarType type = ProductType(in.x.device().type());
  const bool leave_bias = !ls1_ && !(is_training() && drop_path_rate_ > 0);
  const auto [x, before_attention] = norm1_->Add(in, type);
  const LinearOutput attended =
      Scaled(attn_->forward(before_attention, leave_bias, attention_weights), ls1_);
  const auto [sum, before_mlp] = norm2_->Add({x, attended}, type);
  return {sum, Scaled(mlp_->forward(before_mlp, leave_bias), ls2_)};
}

PatchEmbedImpl::PatchEmbedImpl(const ModelConfig& config)
    : patch_height_(config.patch_size()), patch_width_(config.patch_width()) {
  const int64_t dim = config.embed_dim();
  if (config.patch_norm()) {
    input_norm_ = register_module("input_norm", Norm(PatchValues(config), config.layer_norm_eps()));
  }
  proj_ = register_module(
      "proj", Linear(at::IntArrayRef{dim, config.in_channels(), patch_height_, patch_width_},
                     !config.pre_norm()));
  if (config.patch_norm()) norm_ = register_module("norm", Norm(dim, config.layer_norm_eps()));
}

at::Tensor PatchEmbedImpl::forward(const at::Tensor& images) {
  const int64_t batch = images.size(0), channels = images.size(1);
  const int64_t rows = images.size(2) / patch_height_, columns = images.size(3) / patch_width_;
  const at::Tensor patches =
      images.view({batch, channels, rows, patch_height_, columns, patch_width_})
          .permute({0, 2, 4, 1, 3, 5})
          .reshape({batch, rows * columns, channels * patch_height_ * patch_width_});
  const at::Tensor tokens = proj_->forward(input_norm_ ? input_norm_->forward(patches) : patches);
  return norm_ ? norm_->forward(tokens) : tokens;
}

}  // namespace vit
