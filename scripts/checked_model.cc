#include "scripts/checked_model.h"

#include <stdexcept>

#include "core/spec/defaults.h"
#include "proto/spec_text.h"

namespace vit {

const std::vector<std::pair<std::string, std::string>>& CheckedModels() {
  static const auto* const models = new std::vector<std::pair<std::string, std::string>>{
      {"class token", ""},
      {"average pooling", "class_token: false global_pool: GLOBAL_POOL_AVG"},
      {"layer scale", "init_values: 1e-2"},
      {"pre-norm without biases", "pre_norm: true qkv_bias: false"},
      {"query and key norms", "qk_norm: true"},
      {"registers", "reg_tokens: 4 no_embed_class: true"},
      {"distillation token", "distillation_token: true"},
      {"batch norm", "norm_layer: NORM_LAYER_BATCH_NORM"},
      {"tanh GELU", "activation: ACTIVATION_GELU_TANH"},
      {"patch norm, quick GELU", "patch_norm: true activation: ACTIVATION_QUICK_GELU"},
      {"no projection, one norm for all, layer before the head",
       "attn_proj: false shared_norm: true init_values: 0.5 representation_size: 24"},
      {"flattened wide patches",
       "class_token: false global_pool: GLOBAL_POOL_FLATTEN patch_width: 8"},
      {"token and average", "global_pool: GLOBAL_POOL_TOKEN_AND_AVG"},
      {"maximum", "global_pool: GLOBAL_POOL_MAX"},
      {"197 tokens", "image_size: 224 patch_size: 16 embed_dim: 192 num_heads: 3"},
  };
  return *models;
}

vit::v1::ModelConfig CheckedModel(const std::string& changes) {
  vit::v1::ModelConfig config, overrides;
  config.set_image_size(32);
  config.set_patch_size(4);
  config.set_embed_dim(64);
  config.set_depth(2);
  config.set_num_heads(4);
  if (!ParseMessageText(changes, &overrides).ok()) throw std::logic_error(changes);
  config.MergeFrom(overrides);
  FillModelDefaults(kClasses, &config);
  return config;
}

VisionTransformer NewModel(const vit::v1::ModelConfig& config, c10::Device device) {
  VisionTransformer model(config);
  model->Initialize(1);
  // A head of zeros would make every logit and most gradients zero.
  torch::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) {
    if (item.key() == "head.weight" || item.key() == "head_dist.weight") {
      item.value().copy_(
          at::sin(at::arange(item.value().numel(), at::kFloat)).view_as(item.value()) / 10);
    }
  }
  model->to(device);
  model->train();
  return model;
}

at::Tensor Images(const vit::v1::ModelConfig& config, int64_t count) {
  const int64_t side = config.image_size();
  return at::sin(at::arange(count * 3 * side * side, at::kFloat) * 0.37)
      .view({count, 3, side, side});
}

vit::v1::DataConfig Preprocessing() {
  vit::v1::DataConfig config;
  for (int channel = 0; channel < 3; ++channel) {
    config.add_mean(0.4 + 0.1 * channel);
    config.add_std(0.2 + 0.1 * channel);
  }
  return config;
}

double RelativeError(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor a = actual.to(at::kCPU, at::kDouble), b = expected.to(at::kCPU, at::kDouble);
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item<double>();
}

}  // namespace vit
