#include "core/weights/infer_config.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"

namespace vit {
namespace {

using ::vit::v1::ModelConfig;

class Inference {
 public:
  Inference(const TensorMap& tensors, const ModelConfig& known)
      : tensors_(tensors), config_(known) {}

  absl::StatusOr<ModelConfig> Run() {
    VIT_RETURN_IF_ERROR(Widths());
    VIT_RETURN_IF_ERROR(Parts());
    VIT_RETURN_IF_ERROR(Pooling());
    VIT_RETURN_IF_ERROR(HeadCount());
    VIT_RETURN_IF_ERROR(ImageSize());
    FillModelDefaults(config_.num_classes(), &config_);
    VIT_RETURN_IF_ERROR(ValidateModelConfig(config_));
    return config_;
  }

 private:
  bool Has(const std::string& name) const { return tensors_.contains(name); }

  // Returns the tensor, which must have this many dimensions, none of them 0 or too large for a
  // config.
  absl::StatusOr<at::Tensor> Get(const std::string& name, int64_t dimensions) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      return absl::InvalidArgumentError(absl::StrCat("'", name, "' is missing"));
    }
    const auto sizes = found->second.sizes();
    if (found->second.dim() != dimensions ||
        std::any_of(sizes.begin(), sizes.end(),
                    [](int64_t size) { return size < 1 || size > (1 << 30); })) {
      return absl::InvalidArgumentError(absl::StrCat("'", name, "' is [",
                                                     absl::StrJoin(sizes, ", "), "]; expected ",
                                                     dimensions, " dimensions"));
    }
    return found->second;
  }

  absl::Status Widths() {
    VIT_ASSIGN_OR_RETURN(const at::Tensor patch, Get("patch_embed.proj.weight", 4));
    VIT_ASSIGN_OR_RETURN(const at::Tensor hidden, Get("blocks.0.mlp.fc1.weight", 2));
    config_.set_embed_dim(static_cast<int>(patch.size(0)));
    config_.set_in_channels(static_cast<int>(patch.size(1)));
    config_.set_patch_size(static_cast<int>(patch.size(2)));
    config_.set_patch_width(static_cast<int>(patch.size(3)));
    SetMlpRatio(hidden.size(0));
    int depth = 0;
    while (Has(absl::StrCat("blocks.", depth, ".mlp.fc1.weight"))) ++depth;
    config_.set_depth(depth);
    if (!Has("head.weight")) {
      config_.set_num_classes(0);  // an encoder
      return absl::OkStatus();
    }
    VIT_ASSIGN_OR_RETURN(const at::Tensor head, Get("head.weight", 2));
    config_.set_num_classes(static_cast<int>(head.size(0)));
    return absl::OkStatus();
  }

  // Keeps the ratio that `known` gives if it leads to this width; else sets one that does.
  void SetMlpRatio(int64_t hidden) {
    if (config_.has_mlp_ratio() && MlpHiddenDim(config_) == hidden) return;
    const double dim = config_.embed_dim();
    config_.set_mlp_ratio(static_cast<double>(hidden) / dim);
    if (MlpHiddenDim(config_) != hidden) {  // the quotient was rounded down
      config_.set_mlp_ratio(std::nextafter(static_cast<double>(hidden) / dim, 1e9));
    }
  }

  absl::Status Parts() {
    config_.set_class_token(Has("cls_token"));
    config_.set_distillation_token(Has("dist_token"));
    config_.set_reg_tokens(0);
    if (Has("reg_token")) {
      VIT_ASSIGN_OR_RETURN(const at::Tensor registers, Get("reg_token", 3));
      config_.set_reg_tokens(static_cast<int>(std::min<int64_t>(registers.size(1), 1 << 20)));
    }
    config_.set_pre_norm(Has("norm_pre.weight"));
    config_.set_qkv_bias(Has("blocks.0.attn.qkv.bias"));
    config_.set_attn_proj(Has("blocks.0.attn.proj.weight"));
    if (config_.attn_proj()) config_.set_proj_bias(Has("blocks.0.attn.proj.bias"));
    config_.set_qk_norm(Has("blocks.0.attn.q_norm.weight"));
    if (!Has("blocks.0.ls1.gamma")) {
      config_.set_init_values(0);
    } else if (config_.init_values() == 0) {
      config_.set_init_values(1e-5);  // only matters for newly initialised weights
    }
    config_.set_shared_norm(Has("norm1.weight"));
    config_.set_patch_norm(Has("patch_embed.norm.weight"));
    config_.set_norm_layer(Has("blocks.0.norm1.running_mean") ? vit::v1::NORM_LAYER_BATCH_NORM
                                                              : vit::v1::NORM_LAYER_LAYER_NORM);
    config_.set_representation_size(0);
    if (Has("pre_logits.fc.weight")) {
      VIT_ASSIGN_OR_RETURN(const at::Tensor layer, Get("pre_logits.fc.weight", 2));
      config_.set_representation_size(static_cast<int>(layer.size(0)));
    }
    return absl::OkStatus();
  }

  absl::Status Pooling() {
    config_.set_fc_norm(Has("fc_norm.weight"));
    config_.set_final_norm(Has("norm.weight") || Has("fc_norm.weight"));
    if (config_.has_global_pool()) return absl::OkStatus();
    config_.set_global_pool(config_.fc_norm() || !config_.class_token()
                                ? vit::v1::GLOBAL_POOL_AVG
                                : vit::v1::GLOBAL_POOL_TOKEN);
    const char* const layer = Has("pre_logits.fc.weight") ? "pre_logits.fc.weight" : "head.weight";
    if (!Has(layer)) return absl::OkStatus();
    VIT_ASSIGN_OR_RETURN(const at::Tensor first, Get(layer, 2));
    if (first.size(1) == int64_t{2} * config_.embed_dim() && config_.class_token() &&
        !config_.fc_norm()) {
      config_.set_global_pool(vit::v1::GLOBAL_POOL_TOKEN_AND_AVG);
    }
    return absl::OkStatus();
  }

  absl::Status HeadCount() {
    const int dim = config_.embed_dim();
    if (config_.qk_norm()) {
      VIT_ASSIGN_OR_RETURN(const at::Tensor norm, Get("blocks.0.attn.q_norm.weight", 1));
      config_.set_num_heads(dim / static_cast<int>(norm.size(0)));
    }
    if (config_.has_num_heads()) return absl::OkStatus();
    // Published models whose heads are not 64 wide: ViT-H, so400m, ViT-g, ViT-G.
    for (const int wide : {1152, 1280, 1408, 1664}) {
      if (dim == wide) config_.set_num_heads(16);
    }
    if (!config_.has_num_heads() && dim % 64 == 0) config_.set_num_heads(dim / 64);
    if (config_.has_num_heads()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("the weights do not show how many heads their ", dim,
                     " features are split into; set model.num_heads"));
  }

  // Sets the size of a square image that has as many patches as there are positions.
  absl::Status ImageSize() {
    const int height = config_.patch_size(), width = config_.patch_width();
    config_.set_no_embed_class(config_.no_embed_class());
    if (Has("pos_embed")) {
      VIT_ASSIGN_OR_RETURN(const at::Tensor positions, Get("pos_embed", 3));
      if (!config_.has_pos_embed() || config_.pos_embed() == vit::v1::POSITION_EMBEDDING_NONE) {
        config_.set_pos_embed(vit::v1::POSITION_EMBEDDING_LEARNED);
      }
      const int64_t prefix = PrefixTokenCount(config_);
      for (const int64_t front : {prefix, int64_t{0}}) {
        const std::optional<int64_t> size = SquareSize(positions.size(1) - front);
        if (!size) continue;
        config_.set_no_embed_class(front == 0 && prefix > 0);
        config_.set_image_size(static_cast<int>(*size));
        return absl::OkStatus();
      }
      return absl::InvalidArgumentError(
          absl::StrCat("'pos_embed' has ", positions.size(1), " positions, which with ", prefix,
                       " prefix tokens fit no square image of ", height, " x ", width, " patches"));
    }
    if (config_.pos_embed() != vit::v1::POSITION_EMBEDDING_NONE) {
      return absl::InvalidArgumentError(
          "the weights have no position embedding ('pos_embed'): rotary positions (EVA-02, DINOv3) "
          "are not supported; for a model without any positions set model.pos_embed=none and "
          "model.image_size");
    }
    if (config_.global_pool() == vit::v1::GLOBAL_POOL_FLATTEN) {
      const std::string name =
          config_.representation_size() > 0 ? "pre_logits.fc.weight" : "head.weight";
      VIT_ASSIGN_OR_RETURN(const at::Tensor layer, Get(name, 2));
      const std::optional<int64_t> size =
          SquareSize(layer.size(1) / config_.embed_dim() - PrefixTokenCount(config_));
      if (size) {
        config_.set_image_size(static_cast<int>(*size));
        return absl::OkStatus();
      }
    }
    if (config_.has_image_size()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "the weights have no positions, which would show the image size; set model.image_size");
  }

  // Returns the side of a square image with this many patches.
  std::optional<int64_t> SquareSize(int64_t patches) const {
    const int64_t height = config_.patch_size(), width = config_.patch_width();
    if (patches < 1) return std::nullopt;
    const auto size = static_cast<int64_t>(
        std::lround(std::sqrt(static_cast<double>(patches) * static_cast<double>(height * width))));
    if (size % height != 0 || size % width != 0 || (size / height) * (size / width) != patches ||
        size > (1 << 20)) {
      return std::nullopt;
    }
    return size;
  }

  const TensorMap& tensors_;
  ModelConfig config_;
};

}  // namespace

absl::StatusOr<ModelConfig> InferModelConfig(const TensorMap& tensors, const ModelConfig& known) {
  return Inference(tensors, known).Run();
}

}  // namespace vit
