#include "core/model/model_config.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/spec/rules.h"
#include "proto/schema.h"

namespace vit {
namespace {

namespace v1 = ::vit::v1;
using v1::ModelConfig;

absl::Status CheckMultiple(absl::string_view field, int value, absl::string_view of, int divisor) {
  if (value % divisor == 0) return absl::OkStatus();
  const int below = value / divisor * divisor;
  return absl::InvalidArgumentError(absl::StrCat(
      "model.", field, " is ", value, ", not a multiple of model.", of, " ", divisor, "; ",
      below > 0 ? absl::StrCat(below, " and ", below + divisor, " are")
                : absl::StrCat(divisor, " is")));
}

// Checks fields that exclude each other.
absl::Status CheckCombinations(const ModelConfig& config) {
  const bool token_pool = config.global_pool() == v1::GLOBAL_POOL_TOKEN;
  const bool flatten = config.global_pool() == v1::GLOBAL_POOL_FLATTEN;
  const bool token_and_avg = config.global_pool() == v1::GLOBAL_POOL_TOKEN_AND_AVG;
  const bool sincos = config.pos_embed() == v1::POSITION_EMBEDDING_SINCOS_2D;
  const bool batch_norm = config.norm_layer() == v1::NORM_LAYER_BATCH_NORM;
  const struct {
    bool wrong;
    absl::string_view message;
  } rules[] = {
      {token_pool && !config.class_token(),
       "model.global_pool is token but model.class_token is false; set model.global_pool=avg"},
      {token_and_avg && !config.class_token(),
       "model.global_pool is token_and_avg but model.class_token is false; set "
       "model.global_pool=avg"},
      {config.distillation_token() && !(token_pool && config.class_token()),
       "model.distillation_token needs model.class_token and model.global_pool=token, as the "
       "logits are the mean of both tokens' heads"},
      {config.fc_norm() && flatten,
       "model.fc_norm is true with model.global_pool=flatten, whose features it cannot take; set "
       "model.fc_norm=false"},
      {config.fc_norm() && token_and_avg,
       "model.fc_norm is true with model.global_pool=token_and_avg, whose tokens are normalised "
       "before they are pooled; set model.fc_norm=false"},
      {flatten && config.dynamic_image_size(),
       "model.dynamic_image_size is true with model.global_pool=flatten, whose head is made for "
       "one size; set model.global_pool=avg"},
      {sincos && (config.embed_dim() % 4 != 0 || config.embed_dim() < 8),
       "model.pos_embed=sincos_2d needs a model.embed_dim that is a multiple of 4, at least 8"},
      {batch_norm && config.shared_norm(),
       "model.shared_norm is true with model.norm_layer=batch_norm, whose running means differ "
       "from block to block; change one of them"},
  };
  for (const auto& rule : rules) {
    if (rule.wrong) return absl::InvalidArgumentError(rule.message);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateModelConfig(const ModelConfig& config) {
  VIT_RETURN_IF_ERROR(CheckRules(config, "model."));
  // The divisors were just found to be above 0.
  VIT_RETURN_IF_ERROR(
      CheckMultiple("image_size", config.image_size(), "patch_size", config.patch_size()));
  VIT_RETURN_IF_ERROR(
      CheckMultiple("image_size", config.image_size(), "patch_width", config.patch_width()));
  VIT_RETURN_IF_ERROR(
      CheckMultiple("embed_dim", config.embed_dim(), "num_heads", config.num_heads()));
  if (PatchCount(config) > 65536) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.patch_size ", config.patch_size(), " cuts model.image_size ", config.image_size(),
        " into ", PatchCount(config), " patches; at most 65536 are supported"));
  }
  if (MlpHiddenDim(config) < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.mlp_ratio ", config.mlp_ratio(), " of model.embed_dim ",
                     config.embed_dim(), " leaves the MLP no hidden layer; raise one of them"));
  }
  return CheckCombinations(config);
}

absl::Status CheckInputSize(const ModelConfig& config, int side, absl::string_view field) {
  if (side == config.image_size()) return absl::OkStatus();
  const auto wrong = [&](absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(field, " is ", side, why));
  };
  if (!config.dynamic_image_size()) {
    return wrong(absl::StrCat(", but the model's image_size is ", config.image_size(),
                              "; another size needs model.dynamic_image_size=true"));
  }
  const vit::v1::FieldRule& range =
      RuleOf(ModelConfig::descriptor()->FindFieldByName("image_size"));
  if (side < range.min() || side > range.max()) {
    return wrong(absl::StrCat("; expected ", DescribeRange(range)));
  }
  if (side % config.patch_size() != 0 || side % config.patch_width() != 0) {
    return wrong(absl::StrCat(", which is not a multiple of the patch's ", config.patch_size(),
                              " x ", config.patch_width(), " pixels"));
  }
  return absl::OkStatus();
}

int64_t MlpHiddenDim(const ModelConfig& config) {
  return static_cast<int64_t>(config.embed_dim() * config.mlp_ratio());
}

int64_t PatchValues(const ModelConfig& config) {
  return int64_t{config.in_channels()} * config.patch_size() * config.patch_width();
}

int64_t PatchCount(const ModelConfig& config) {
  return int64_t{config.image_size() / config.patch_size()} *
         (config.image_size() / config.patch_width());
}

int64_t PrefixTokenCount(const ModelConfig& config) {
  return (config.class_token() ? 1 : 0) + (config.distillation_token() ? 1 : 0) +
         config.reg_tokens();
}

int64_t TokenCount(const ModelConfig& config) {
  return PatchCount(config) + PrefixTokenCount(config);
}

int64_t PositionCount(const ModelConfig& config) {
  if (config.pos_embed() == v1::POSITION_EMBEDDING_NONE) return 0;
  return config.no_embed_class() ? PatchCount(config) : TokenCount(config);
}

int64_t PooledFeatures(const ModelConfig& config) {
  switch (config.global_pool()) {
    case v1::GLOBAL_POOL_FLATTEN:
      return config.embed_dim() * PatchCount(config);
    case v1::GLOBAL_POOL_TOKEN_AND_AVG:
      return int64_t{2} * config.embed_dim();
    default:
      return config.embed_dim();
  }
}

int64_t ForwardBytes(const ModelConfig& config) {
  // The pixels, and for one block the residual stream, its norm, q, k, v, the heads' output, and
  // the hidden layer before and after the activation.
  const int64_t side = config.image_size();
  const int64_t floats = 2 * config.in_channels() * side * side +
                         TokenCount(config) * (8 * config.embed_dim() + 2 * MlpHiddenDim(config));
  return 4 * floats;
}

namespace {

// Parameters of a linear map.
int64_t LinearCount(int64_t in, int64_t out, bool bias = true) {
  return in * out + (bias ? out : 0);
}

int64_t BlockParameterCount(const ModelConfig& config) {
  const int64_t d = config.embed_dim(), hidden = MlpHiddenDim(config);
  int64_t count =
      LinearCount(d, 3 * d, config.qkv_bias()) + LinearCount(d, hidden) + LinearCount(hidden, d);
  if (config.attn_proj()) count += LinearCount(d, d, config.proj_bias());
  if (!config.shared_norm()) count += 2 * 2 * d;
  if (config.qk_norm()) count += 2 * 2 * (d / config.num_heads());
  if (config.init_values() != 0) count += 2 * d;
  return count;
}

}  // namespace

int64_t ParameterCount(const ModelConfig& config) {
  const int64_t d = config.embed_dim();
  int64_t count = LinearCount(PatchValues(config), d, !config.pre_norm()) +
                  PrefixTokenCount(config) * d + config.depth() * BlockParameterCount(config);
  if (config.pos_embed() == v1::POSITION_EMBEDDING_LEARNED) count += PositionCount(config) * d;
  if (config.patch_norm()) count += 2 * (PatchValues(config) + d);
  if (config.pre_norm()) count += 2 * d;
  if (config.shared_norm()) count += 2 * 2 * d;
  if (config.final_norm()) count += 2 * d;
  int64_t features = PooledFeatures(config);
  if (config.representation_size() > 0) {
    count += LinearCount(features, config.representation_size());
    features = config.representation_size();
  }
  const int heads = config.distillation_token() ? 2 : 1;
  return count + heads * LinearCount(features, config.num_classes());
}

double ForwardFlops(const ModelConfig& config) {
  const double d = config.embed_dim(), n = TokenCount(config), hidden = MlpHiddenDim(config);
  const double projections = config.attn_proj() ? 4 : 3;  // q, k, v and the output's
  const double block = 2 * n * (projections * d * d + 2 * d * hidden) + 4 * n * n * d;
  const double heads = config.distillation_token() ? 2 : 1;
  double features = PooledFeatures(config), head = 0;
  if (config.representation_size() > 0) {
    head = features * config.representation_size();
    features = config.representation_size();
  }
  head += features * config.num_classes();
  return 2.0 * PatchCount(config) * PatchValues(config) * d + config.depth() * block +
         2 * heads * head;
}

}  // namespace vit
