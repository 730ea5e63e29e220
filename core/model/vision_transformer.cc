#include "core/model/vision_transformer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/match.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/random.h"
#include "core/model/gelu.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

using ::vit::v1::ModelConfig;

// Fills `values` from streams of 65,536 values each, so that threads can share the work.
template <typename Draw>
void FillFromCounter(const at::Tensor& values, uint64_t seed, uint64_t parameter, Draw draw) {
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

PatchGrid GridOf(const ModelConfig& config, int64_t height, int64_t width) {
  return {.rows = height / config.patch_size(), .columns = width / config.patch_width()};
}

// Returns the fixed embedding of the config's positions, zeros for the tokens in front.
at::Tensor FixedPositions(const ModelConfig& config) {
  const int64_t side = config.image_size(), dim = config.embed_dim();
  const int64_t prefix = PositionCount(config) - PatchCount(config);
  return at::cat(
      {at::zeros({1, prefix, dim}), SinCosPositionEmbedding(GridOf(config, side, side), dim)}, 1);
}

}  // namespace

VisionTransformerImpl::VisionTransformerImpl(const ModelConfig& config) : config_(config) {
  const int64_t dim = config.embed_dim(), depth = config.depth();
  const auto token = [&](const char* name, int64_t count) {
    return register_parameter(name, at::zeros({1, count, dim}));
  };
  if (config.class_token()) cls_token_ = token("cls_token", 1);
  if (config.distillation_token()) dist_token_ = token("dist_token", 1);
  if (config.reg_tokens() > 0) reg_token_ = token("reg_token", config.reg_tokens());
  if (config.pos_embed() == vit::v1::POSITION_EMBEDDING_LEARNED) {
    pos_embed_ = token("pos_embed", PositionCount(config));
  } else if (config.pos_embed() == vit::v1::POSITION_EMBEDDING_SINCOS_2D) {
    pos_embed_ = register_buffer("pos_embed", FixedPositions(config));
  }
  patch_embed_ = register_module("patch_embed", PatchEmbed(config));
  if (config.pre_norm()) norm_pre_ = register_module("norm_pre", MakeNorm(config));
  Norm norm1 = nullptr, norm2 = nullptr;
  if (config.shared_norm()) {
    norm1 = register_module("norm1", MakeNorm(config));
    norm2 = register_module("norm2", MakeNorm(config));
  }
  torch::nn::ModuleList list;
  for (int64_t i = 0; i < depth; ++i) {
    // Stochastic depth grows linearly from 0 at the first block to drop_path_rate at the last.
    const double rate = depth > 1 ? config.drop_path_rate() * static_cast<double>(i) /
                                        static_cast<double>(depth - 1)
                                  : 0;
    blocks_.emplace_back(config, rate, norm1, norm2);
    list->push_back(blocks_.back());
  }
  register_module("blocks", list);
  if (config.final_norm()) {
    Norm& norm = config.fc_norm() ? fc_norm_ : norm_;
    norm = register_module(config.fc_norm() ? "fc_norm" : "norm", MakeNorm(config));
  }
  int64_t features = PooledFeatures(config);
  if (config.representation_size() > 0) {
    auto layer = register_module("pre_logits", torch::nn::ModuleDict());
    pre_logits_ = Linear(at::IntArrayRef{config.representation_size(), features});
    layer->register_module("fc", pre_logits_);
    features = config.representation_size();
  }
  if (config.num_classes() == 0) return;  // an encoder
  head_ = register_module("head", Linear(at::IntArrayRef{config.num_classes(), features}));
  if (config.distillation_token()) {
    head_dist_ =
        register_module("head_dist", Linear(at::IntArrayRef{config.num_classes(), features}));
  }
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
    const bool of_head = name.starts_with("head.") || name.starts_with("head_dist.");
    if (name == "cls_token" || name == "reg_token") {
      normal(1e-6);
    } else if (name.starts_with("patch_embed.proj.")) {
      const double bound = 1 / std::sqrt(static_cast<double>(PatchValues(config_)));
      FillFromCounter(value, seed, parameter,
                      [=](CounterRandom& random) { return random.Uniform(-bound, bound); });
    } else if (of_head && value.dim() == 1) {
      value.fill_(config_.head_bias());
    } else if (of_head && config_.head_init() == vit::v1::HEAD_INIT_ZERO) {
      value.zero_();
    } else if (value.dim() > 1) {
      normal(0.02);
    } else if (name.ends_with(".gamma")) {
      value.fill_(config_.init_values());
    } else {
      value.fill_(name.ends_with(".weight") ? 1 : 0);
    }
  }
}

at::Tensor VisionTransformerImpl::AddPositionsAndPrefix(const at::Tensor& patches,
                                                        const PatchGrid& grid) {
  const int64_t batch = patches.size(0);
  std::vector<at::Tensor> tokens;
  for (const at::Tensor& token : {cls_token_, dist_token_, reg_token_}) {
    if (token.defined()) tokens.push_back(token.expand({batch, -1, -1}));
  }
  at::Tensor positions = pos_embed_;  // [1, positions, D]
  if (positions.defined()) {
    positions = ResamplePositionEmbedding(
        positions, PositionCount(config_) - PatchCount(config_),
        GridOf(config_, config_.image_size(), config_.image_size()), grid);
  }
  const bool patches_only = config_.no_embed_class() && positions.defined();
  tokens.push_back(patches_only ? patches + positions : patches);
  const at::Tensor x = tokens.size() == 1 ? tokens.front() : at::cat(tokens, 1);
  return Dropout(positions.defined() && !patches_only ? x + positions : x, config_.pos_drop_rate(),
                 is_training());
}

at::Tensor VisionTransformerImpl::ForwardFeatures(const at::Tensor& images,
                                                  std::vector<at::Tensor>* attention_weights) {
  const PatchGrid grid = GridOf(config_, images.size(2), images.size(3));
  TORCH_CHECK(grid == GridOf(config_, config_.image_size(), config_.image_size()) ||
                  config_.dynamic_image_size(),
              "images of ", images.sizes(), " for a model of image_size ", config_.image_size(),
              " without dynamic_image_size");
  at::Tensor x = AddPositionsAndPrefix(patch_embed_->forward(images), grid);  // [B, N, D]
  if (norm_pre_) x = norm_pre_->forward(x);
  Residual residual = {x, {}};
  for (Block& block : blocks_) {
    residual = block->forward(
        residual, attention_weights == nullptr ? nullptr : &attention_weights->emplace_back());
  }
  return norm_ ? norm_->Add(residual, at::kFloat).normalized : residual.Value();
}

at::Tensor VisionTransformerImpl::Pool(const at::Tensor& tokens) {
  at::Tensor pooled;
  const at::Tensor patches = tokens.slice(1, PrefixTokenCount(config_));
  switch (config_.global_pool()) {
    case vit::v1::GLOBAL_POOL_AVG:
      pooled = patches.mean(1);
      break;
    case vit::v1::GLOBAL_POOL_MAX:
      pooled = patches.amax(1);
      break;
    case vit::v1::GLOBAL_POOL_FLATTEN:
      pooled = patches.transpose(1, 2).flatten(1);
      break;
    case vit::v1::GLOBAL_POOL_TOKEN_AND_AVG:
      pooled = at::cat({tokens.select(1, 0), patches.mean(1)}, 1);
      break;
    default:
      pooled = tokens.select(1, 0);
  }
  return fc_norm_ ? fc_norm_->forward(pooled) : pooled;
}

at::Tensor VisionTransformerImpl::BeforeHead(const at::Tensor& pooled) {
  at::Tensor x = pooled;
  if (pre_logits_) {
    x = pre_logits_->forward(x);
    const bool gelu =
        config_.representation_activation() == vit::v1::REPRESENTATION_ACTIVATION_GELU;
    x = gelu ? Gelu(x) : x.tanh();
  }
  return Dropout(x, config_.drop_rate(), is_training());
}

at::Tensor VisionTransformerImpl::forward(const at::Tensor& images) {
  return ForwardHead(ForwardFeatures(images));
}

at::Tensor VisionTransformerImpl::ForwardHead(const at::Tensor& tokens) {
  const auto [logits, distilled] = ForwardHeads(tokens);
  return distilled.defined() ? (logits + distilled) / 2 : logits;
}

std::pair<at::Tensor, at::Tensor> VisionTransformerImpl::ForwardHeads(const at::Tensor& tokens) {
  TORCH_CHECK(head_, "the model has no head");
  const at::Tensor logits = head_->forward(BeforeHead(Pool(tokens)));
  if (!head_dist_) return {logits, {}};
  return {logits, head_dist_->forward(BeforeHead(tokens.select(1, 1)))};
}

bool HasWeightDecay(const std::string& name, const at::Tensor& parameter) {
  return parameter.dim() > 1 && !absl::EndsWith(name, "_token") && name != "pos_embed";
}

NamedTensors StateDict(const torch::nn::Module& module) {
  NamedTensors state;
  for (const auto& item : module.named_parameters()) state.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) state.emplace_back(item.key(), item.value());
  return state;
}

}  // namespace vit
