#include "core/model/vision_transformer.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <string>

#include "core/base/random.h"
#include "core/model/gelu.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

namespace F = torch::nn::functional;
using ::vit::v1::ModelConfig;

torch::nn::LayerNorm MakeLayerNorm(const ModelConfig& config) {
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({config.embed_dim()}).eps(config.layer_norm_eps()));
}

at::Tensor Dropout(const at::Tensor& x, double rate, bool training) {
  return training && rate > 0 ? at::dropout(x, rate, /*train=*/true) : x;
}

// Stochastic depth: zero for a sample with probability `rate`, scaled by 1 / (1 - rate) otherwise.
at::Tensor DropPath(const at::Tensor& branch, double rate, bool training) {
  if (!training || rate == 0) return branch;
  const double keep = 1 - rate;
  return branch * at::empty({branch.size(0), 1, 1}, branch.options()).bernoulli_(keep).div_(keep);
}

// Fills `values` from streams of 65,536 values each, so that threads can share the work.
template <typename Draw>
void FillFromCounter(at::Tensor values, uint64_t seed, uint64_t parameter, Draw draw) {
  constexpr int64_t kChunk = 65536;
  const at::Tensor host = at::empty(values.sizes(), at::kFloat);
  float* const out = host.data_ptr<float>();
  const int64_t count = host.numel();
  at::parallel_for(0, (count + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      CounterRandom random(seed, RandomPurpose::kInit, parameter, chunk);
      const int64_t last = std::min(count, (chunk + 1) * kChunk);
      for (int64_t i = chunk * kChunk; i < last; ++i) out[i] = static_cast<float>(draw(random));
    }
  });
  values.copy_(host);
}

}  // namespace

LinearImpl::LinearImpl(at::IntArrayRef shape, bool with_bias) {
  weight_ = register_parameter("weight", at::empty(shape));
  if (with_bias) bias_ = register_parameter("bias", at::empty(shape[0]));
}

at::Tensor LinearImpl::forward(const at::Tensor& x) {
  return at::linear(x, weight_.flatten(1), bias_);
}

AttentionImpl::AttentionImpl(const ModelConfig& config)
    : num_heads_(config.num_heads()),
      attn_drop_rate_(config.attn_drop_rate()),
      proj_drop_rate_(config.proj_drop_rate()) {
  const int64_t dim = config.embed_dim();
  qkv_ = register_module("qkv", Linear(at::IntArrayRef{3 * dim, dim}, config.qkv_bias()));
  proj_ = register_module("proj", Linear(at::IntArrayRef{dim, dim}));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x) {
  const int64_t batch = x.size(0), tokens = x.size(1), dim = x.size(2);
  // Split on the dimension that keeps the gradients' layout: they are put together again without
  // another copy.
  const std::vector<at::Tensor> qkv = qkv_->forward(x)  // 3 of [B, N, H, D/H]
                                          .view({batch, tokens, 3, num_heads_, dim / num_heads_})
                                          .unbind(2);
  const at::Tensor heads = at::scaled_dot_product_attention(  // [B, H, N, D/H]
      qkv[0].transpose(1, 2), qkv[1].transpose(1, 2), qkv[2].transpose(1, 2), /*attn_mask=*/{},
      is_training() ? attn_drop_rate_ : 0.0);
  return Dropout(proj_->forward(heads.transpose(1, 2).reshape({batch, tokens, dim})),
                 proj_drop_rate_, is_training());
}

MlpImpl::MlpImpl(const ModelConfig& config) : drop_rate_(config.proj_drop_rate()) {
  const int64_t dim = config.embed_dim(), hidden = MlpHiddenDim(config);
  fc1_ = register_module("fc1", Linear(at::IntArrayRef{hidden, dim}));
  fc2_ = register_module("fc2", Linear(at::IntArrayRef{dim, hidden}));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  const at::Tensor hidden = Dropout(Gelu(fc1_->forward(x)), drop_rate_, is_training());
  return Dropout(fc2_->forward(hidden), drop_rate_, is_training());
}

BlockImpl::BlockImpl(const ModelConfig& config, double drop_path_rate)
    : drop_path_rate_(drop_path_rate) {
  norm1_ = register_module("norm1", MakeLayerNorm(config));
  attn_ = register_module("attn", Attention(config));
  norm2_ = register_module("norm2", MakeLayerNorm(config));
  mlp_ = register_module("mlp", Mlp(config));
}

at::Tensor BlockImpl::forward(const at::Tensor& x) {
  const at::Tensor attended =
      x + DropPath(attn_->forward(norm1_->forward(x)), drop_path_rate_, is_training());
  return attended +
         DropPath(mlp_->forward(norm2_->forward(attended)), drop_path_rate_, is_training());
}

PatchEmbedImpl::PatchEmbedImpl(const ModelConfig& config) : patch_size_(config.patch_size()) {
  proj_ =
      register_module("proj", Linear(at::IntArrayRef{config.embed_dim(), config.in_channels(),
                                                     config.patch_size(), config.patch_size()}));
}

at::Tensor PatchEmbedImpl::forward(const at::Tensor& images) {
  const int64_t batch = images.size(0), channels = images.size(1), p = patch_size_;
  const int64_t rows = images.size(2) / p, columns = images.size(3) / p;
  const at::Tensor patches = images.view({batch, channels, rows, p, columns, p})
                                 .permute({0, 2, 4, 1, 3, 5})
                                 .reshape({batch, rows * columns, channels * p * p});
  return proj_->forward(patches);
}

VisionTransformerImpl::VisionTransformerImpl(const ModelConfig& config) : config_(config) {
  const int64_t dim = config.embed_dim(), depth = config.depth();
  if (config.class_token()) cls_token_ = register_parameter("cls_token", at::zeros({1, 1, dim}));
  pos_embed_ = register_parameter("pos_embed", at::zeros({1, TokenCount(config), dim}));
  patch_embed_ = register_module("patch_embed", PatchEmbed(config));
  torch::nn::ModuleList list;
  for (int64_t i = 0; i < depth; ++i) {
    // Stochastic depth grows linearly from 0 at the first block to drop_path_rate at the last.
    const double rate = depth > 1 ? config.drop_path_rate() * static_cast<double>(i) /
                                        static_cast<double>(depth - 1)
                                  : 0;
    blocks_.emplace_back(config, rate);
    list->push_back(blocks_.back());
  }
  register_module("blocks", list);
  if (config.global_pool() == vit::v1::GLOBAL_POOL_AVG) {
    fc_norm_ = register_module("fc_norm", MakeLayerNorm(config));
  } else {
    norm_ = register_module("norm", MakeLayerNorm(config));
  }
  head_ = register_module("head", Linear(at::IntArrayRef{config.num_classes(), dim}));
}

void VisionTransformerImpl::Initialize(uint64_t seed) {
  torch::NoGradGuard no_grad;
  uint64_t index = 0;
  for (auto& item : named_parameters()) {
    const std::string& name = item.key();
    at::Tensor value = item.value();
    const uint64_t parameter = index++;
    const auto normal = [&](double deviation) {
      FillFromCounter(value, seed, parameter,
                      [=](CounterRandom& random) { return deviation * random.Normal(); });
    };
    if (name == "cls_token") {
      normal(1e-6);
    } else if (name.starts_with("patch_embed.proj.")) {
      const double bound =
          1 / std::sqrt(1.0 * config_.in_channels() * config_.patch_size() * config_.patch_size());
      FillFromCounter(value, seed, parameter,
                      [=](CounterRandom& random) { return random.Uniform(-bound, bound); });
    } else if (value.dim() > 1) {
      normal(0.02);
    } else {
      value.fill_(
          name.ends_with(".weight") || name == "norm.weight" || name == "fc_norm.weight" ? 1 : 0);
    }
  }
}

at::Tensor VisionTransformerImpl::ForwardFeatures(const at::Tensor& images) {
  at::Tensor x = patch_embed_->forward(images);  // [B, N, D]
  if (config_.class_token()) x = at::cat({cls_token_.expand({x.size(0), -1, -1}), x}, 1);
  x = Dropout(x + pos_embed_, config_.pos_drop_rate(), is_training());
  for (Block& block : blocks_) x = block->forward(x);
  return norm_ ? norm_->forward(x) : x;
}

at::Tensor VisionTransformerImpl::forward(const at::Tensor& images) {
  const at::Tensor tokens = ForwardFeatures(images);
  at::Tensor pooled;  // [B, D]
  if (config_.global_pool() == vit::v1::GLOBAL_POOL_AVG) {
    pooled = fc_norm_->forward(tokens.slice(1, config_.class_token() ? 1 : 0).mean(1));
  } else {
    pooled = tokens.select(1, 0);
  }
  return head_->forward(Dropout(pooled, config_.drop_rate(), is_training()));
}

bool HasWeightDecay(const std::string& name, const at::Tensor& parameter) {
  return parameter.dim() > 1 && name != "cls_token" && name != "pos_embed";
}

}  // namespace vit
