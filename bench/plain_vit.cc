#include "bench/plain_vit.h"

#include "core/model/autocast.h"
#include "core/model/model_config.h"

namespace vit::bench {

namespace nn = torch::nn;

PlainVitImpl::PlainVitImpl(const vit::v1::ModelConfig& config) : heads_(config.num_heads()) {
  const int64_t dim = config.embed_dim(), hidden = MlpHiddenDim(config);
  const auto norm = [&] {
    return nn::LayerNorm(nn::LayerNormOptions({dim}).eps(config.layer_norm_eps()));
  };
  patch_embed_ = register_module(
      "patch_embed",
      nn::Conv2d(nn::Conv2dOptions(3, dim, config.patch_size()).stride(config.patch_size())));
  if (config.class_token()) {
    cls_token_ = register_parameter("cls_token", at::zeros({1, 1, dim}));
  }
  pos_embed_ = register_parameter("pos_embed", at::randn({1, TokenCount(config), dim}) * 0.02);
  for (int i = 0; i < config.depth(); ++i) {
    blocks_.push_back({norm(), norm(), nn::Linear(dim, 3 * dim), nn::Linear(dim, dim),
                       nn::Linear(dim, hidden), nn::Linear(hidden, dim)});
    const std::string name = "block" + std::to_string(i);
    register_module(name + "_norm1", blocks_.back().norm1);
    register_module(name + "_norm2", blocks_.back().norm2);
    register_module(name + "_qkv", blocks_.back().qkv);
    register_module(name + "_proj", blocks_.back().proj);
    register_module(name + "_fc1", blocks_.back().fc1);
    register_module(name + "_fc2", blocks_.back().fc2);
  }
  norm_ = register_module("norm", norm());
  head_ = register_module("head", nn::Linear(dim, config.num_classes()));
}

at::Tensor PlainVitImpl::forward(const at::Tensor& images) {
  at::Tensor x = patch_embed_->forward(images).flatten(2).transpose(1, 2);
  if (cls_token_.defined()) x = at::cat({cls_token_.expand({x.size(0), -1, -1}), x}, 1);
  x = x + pos_embed_;
  const int64_t batch = x.size(0), tokens = x.size(1), dim = x.size(2);
  for (BlockLayers& block : blocks_) {
    const auto qkv = block.qkv->forward(block.norm1->forward(x))
                         .view({batch, tokens, 3, heads_, dim / heads_})
                         .permute({2, 0, 3, 1, 4})
                         .unbind(0);
    const at::Tensor heads = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
    x = x + block.proj->forward(heads.transpose(1, 2).reshape({batch, tokens, dim}));
    x = x + block.fc2->forward(at::gelu(block.fc1->forward(block.norm2->forward(x))));
  }
  x = cls_token_.defined() ? norm_->forward(x).select(1, 0) : norm_->forward(x.mean(1));
  return head_->forward(x);
}

PlainLoop::PlainLoop(const vit::v1::TrainingSpec& spec) : spec_(spec), model_(spec.model()) {
  parameters_ = model_->parameters();
  for (const at::Tensor& parameter : parameters_) {
    exp_avg_.push_back(at::zeros_like(parameter));
    exp_avg_sq_.push_back(at::zeros_like(parameter));
    steps_.push_back(at::zeros({}));
  }
}

void PlainLoop::Step(const at::Tensor& images, const at::Tensor& labels) {
  model_->zero_grad();
  {
    AutocastGuard autocast(spec_.precision() == vit::v1::PRECISION_BFLOAT16, at::kCPU);
    torch::nn::functional::cross_entropy(model_->forward(images), labels).backward();
  }
  nn::utils::clip_grad_norm_(parameters_, spec_.clip_grad_norm());
  torch::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients;
  gradients.reserve(parameters_.size());
  for (const at::Tensor& parameter : parameters_) gradients.push_back(parameter.grad());
  for (at::Tensor& step : steps_) step.add_(1);
  at::_fused_adamw_(parameters_, gradients, exp_avg_, exp_avg_sq_, {}, steps_, 1e-3, 0.9, 0.999,
                    0.05, 1e-8,
                    /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace vit::bench
