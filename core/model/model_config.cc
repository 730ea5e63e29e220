#include "core/model/model_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace vit {
namespace {

using ::vit::v1::ModelConfig;

// Bounds what a config can ask for, so that sizes computed from it stay far from overflow.
constexpr int kMaxImageSize = 4096;
constexpr int kMaxEmbedDim = 16384;
constexpr int kMaxDepth = 256;
constexpr int kMaxClasses = 1'000'000;
constexpr double kMaxMlpRatio = 64;

absl::Status CheckRange(absl::string_view field, int value, int low, int high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model.", field, " is ", value, "; expected ", low, " to ", high));
}

absl::Status CheckRate(absl::string_view field, double value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "model.", field, " is ", value, "; expected a probability of at least 0 and below 1"));
}

absl::Status CheckMultiple(absl::string_view field, int value, absl::string_view of, int divisor) {
  if (value % divisor == 0) return absl::OkStatus();
  const int below = value / divisor * divisor;
  return absl::InvalidArgumentError(absl::StrCat(
      "model.", field, " is ", value, ", not a multiple of model.", of, " ", divisor, "; ",
      below > 0 ? absl::StrCat(below, " and ", below + divisor, " are")
                : absl::StrCat(divisor, " is")));
}

}  // namespace

void FillModelConfigDefaults(int num_classes, ModelConfig* config) {
  const auto fill = [&](bool set, auto setter, auto value) {
    if (!set) (config->*setter)(value);
  };
  fill(config->has_image_size(), &ModelConfig::set_image_size, 224);
  fill(config->has_patch_size(), &ModelConfig::set_patch_size, 16);
  fill(config->has_in_channels(), &ModelConfig::set_in_channels, 3);
  fill(config->has_num_classes(), &ModelConfig::set_num_classes, num_classes);
  fill(config->has_embed_dim(), &ModelConfig::set_embed_dim, 768);
  fill(config->has_depth(), &ModelConfig::set_depth, 12);
  fill(config->has_num_heads(), &ModelConfig::set_num_heads, 12);
  fill(config->has_mlp_ratio(), &ModelConfig::set_mlp_ratio, 4.0);
  fill(config->has_qkv_bias(), &ModelConfig::set_qkv_bias, true);
  fill(config->has_class_token(), &ModelConfig::set_class_token, true);
  fill(config->has_global_pool(), &ModelConfig::set_global_pool, vit::v1::GLOBAL_POOL_TOKEN);
  fill(config->has_drop_rate(), &ModelConfig::set_drop_rate, 0.0);
  fill(config->has_pos_drop_rate(), &ModelConfig::set_pos_drop_rate, 0.0);
  fill(config->has_proj_drop_rate(), &ModelConfig::set_proj_drop_rate, 0.0);
  fill(config->has_attn_drop_rate(), &ModelConfig::set_attn_drop_rate, 0.0);
  fill(config->has_drop_path_rate(), &ModelConfig::set_drop_path_rate, 0.0);
  fill(config->has_layer_norm_eps(), &ModelConfig::set_layer_norm_eps, 1e-6);
}

absl::Status ValidateModelConfig(const ModelConfig& config) {
  for (const absl::Status& status : {
           CheckRange("image_size", config.image_size(), 1, kMaxImageSize),
           CheckRange("patch_size", config.patch_size(), 1, kMaxImageSize),
           CheckRange("in_channels", config.in_channels(), 3, 3),
           CheckRange("num_classes", config.num_classes(), 1, kMaxClasses),
           CheckRange("embed_dim", config.embed_dim(), 1, kMaxEmbedDim),
           CheckRange("depth", config.depth(), 1, kMaxDepth),
           CheckRange("num_heads", config.num_heads(), 1, kMaxEmbedDim),
           CheckRate("drop_rate", config.drop_rate()),
           CheckRate("pos_drop_rate", config.pos_drop_rate()),
           CheckRate("proj_drop_rate", config.proj_drop_rate()),
           CheckRate("attn_drop_rate", config.attn_drop_rate()),
           CheckRate("drop_path_rate", config.drop_path_rate()),
       }) {
    if (!status.ok()) return status;
  }
  if (absl::Status s =
          CheckMultiple("image_size", config.image_size(), "patch_size", config.patch_size());
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          CheckMultiple("embed_dim", config.embed_dim(), "num_heads", config.num_heads());
      !s.ok()) {
    return s;
  }
  if (PatchCount(config) > 65536) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.patch_size ", config.patch_size(), " cuts model.image_size ", config.image_size(),
        " into ", PatchCount(config), " patches; at most 65536 are supported"));
  }
  if (!(config.mlp_ratio() > 0 && config.mlp_ratio() <= kMaxMlpRatio) || MlpHiddenDim(config) < 1) {
    return absl::InvalidArgumentError(absl::StrCat("model.mlp_ratio is ", config.mlp_ratio(),
                                                   "; expected above 0 and at most 64"));
  }
  if (!(config.layer_norm_eps() > 0 && config.layer_norm_eps() < 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.layer_norm_eps is ", config.layer_norm_eps(), "; expected above 0 and below 1"));
  }
  if (config.global_pool() == vit::v1::GLOBAL_POOL_TOKEN && !config.class_token()) {
    return absl::InvalidArgumentError(
        "model.global_pool is token but model.class_token is false; set model.global_pool=avg");
  }
  return absl::OkStatus();
}

int64_t MlpHiddenDim(const ModelConfig& config) {
  return static_cast<int64_t>(config.embed_dim() * config.mlp_ratio());
}

int64_t PatchCount(const ModelConfig& config) {
  const int64_t side = config.image_size() / config.patch_size();
  return side * side;
}

int64_t TokenCount(const ModelConfig& config) {
  return PatchCount(config) + (config.class_token() ? 1 : 0);
}

int64_t ParameterCount(const ModelConfig& config) {
  const int64_t d = config.embed_dim(), hidden = MlpHiddenDim(config);
  const int64_t patch_inputs =
      int64_t{config.in_channels()} * config.patch_size() * config.patch_size();
  const int64_t norm = 2 * d;
  const int64_t qkv = 3 * d * d + (config.qkv_bias() ? 3 * d : 0);
  const int64_t block = 2 * norm + qkv + (d * d + d) + (d * hidden + hidden) + (hidden * d + d);
  return (patch_inputs + 1) * d + (config.class_token() ? d : 0) + TokenCount(config) * d +
         config.depth() * block + norm + (d + 1) * config.num_classes();
}

double ForwardFlops(const ModelConfig& config) {
  const double d = config.embed_dim(), n = TokenCount(config), hidden = MlpHiddenDim(config);
  const double patch_inputs =
      1.0 * config.in_channels() * config.patch_size() * config.patch_size();
  const double block = 2 * n * (4 * d * d + 2 * d * hidden) + 4 * n * n * d;
  return 2 * PatchCount(config) * patch_inputs * d + config.depth() * block +
         2 * d * config.num_classes();
}

}  // namespace vit
