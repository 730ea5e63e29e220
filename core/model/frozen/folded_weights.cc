#include "core/model/frozen/folded_weights.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/model/frozen/byte_centre.h"
#include "core/model/model_config.h"
#include "core/model/position_embedding.h"

namespace vit::frozen {
namespace {

// Folds in double, so that float32 rounds once.
class Folder {
 public:
  explicit Folder(const VisionTransformerImpl& model) : config_(model.config()) {
    for (const auto& [name, tensor] : StateDict(model)) state_[name] = tensor;
  }

  FoldedWeights Fold(const vit::v1::DataConfig& preprocessing, int64_t image_size) const {
    FoldedWeights folded;
    AddPatches(preprocessing, &folded);
    AddTokens(image_size, &folded);
    folded.norm_pre = Norm("norm_pre");
    for (int i = 0; i < config_.depth(); ++i) folded.blocks.push_back(Block(i));
    folded.normalizes = config_.norm_layer() != vit::v1::NORM_LAYER_BATCH_NORM;
    folded.eps = config_.layer_norm_eps();
    folded.norm = Norm("norm");
    folded.fc_norm = Norm("fc_norm");
    folded.pre_logits = Rounded(Linear("pre_logits.fc"));
    folded.head = Rounded(Linear("head"));
    folded.head_dist = Rounded(Linear("head_dist"));
    return folded;
  }

 private:
  at::Tensor Get(const std::string& name) const {
    const auto found = state_.find(name);
    return found == state_.end() ? at::Tensor() : found->second.detach().to(at::kCPU, at::kDouble);
  }

  FoldedLinear Linear(const std::string& name) const {
    FoldedLinear linear{Get(name + ".weight"), Get(name + ".bias")};
    if (!linear.exists()) return linear;
    linear.weight = linear.weight.flatten(1);
    if (!linear.bias.defined()) {
      linear.bias = at::zeros(linear.weight.size(0), linear.weight.options());
    }
    return linear;
  }

  FoldedNorm NormInDouble(const std::string& name) const {
    FoldedNorm norm{.weight = Get(name + ".weight"),
                    .bias = Get(name + ".bias"),
                    .eps = config_.layer_norm_eps()};
    const at::Tensor mean = Get(name + ".running_mean");
    if (mean.defined()) {
      norm.normalizes = false;
      norm.weight = norm.weight / (Get(name + ".running_var") + norm.eps).sqrt();
      norm.bias = norm.bias - mean * norm.weight;
    }
    return norm;
  }

  static FoldedLinear Rounded(FoldedLinear linear) {
    if (!linear.exists()) return linear;
    return {linear.weight.to(at::kFloat).contiguous(), linear.bias.to(at::kFloat).contiguous()};
  }

  static FoldedNorm Rounded(FoldedNorm norm) {
    if (!norm.exists()) return norm;
    norm.weight = norm.weight.to(at::kFloat).contiguous();
    norm.bias = norm.bias.to(at::kFloat).contiguous();
    return norm;
  }

  FoldedNorm Norm(const std::string& name) const { return Rounded(NormInDouble(name)); }

  // Returns a linear map that first multiplies by the norm's weight and adds its bias.
  static FoldedLinear After(const FoldedNorm& norm, const FoldedLinear& linear) {
    return {linear.weight * norm.weight, linear.bias + linear.weight.matmul(norm.bias)};
  }

  // Returns a linear map whose output is multiplied by the LayerScale of that name, if there is
  // one.
  FoldedLinear Scaled(const FoldedLinear& linear, const std::string& scale) const {
    const at::Tensor gamma = Get(scale + ".gamma");
    if (!gamma.defined()) return linear;
    return {linear.weight * gamma.unsqueeze(1), linear.bias * gamma};
  }

  FoldedBlock Block(int index) const {
    const std::string block = absl::StrCat("blocks.", index, ".");
    const std::string norms = config_.shared_norm() ? "" : block;
    FoldedBlock folded;
    const int64_t dim = config_.embed_dim(), head_dim = dim / config_.num_heads();
    // The softmax's exponential is a power of two, which is computed faster.
    const double scale =
        1 / std::sqrt(static_cast<double>(config_.scale_by_embed_dim() ? dim : head_dim)) /
        std::log(2);
    FoldedLinear qkv = After(NormInDouble(norms + "norm1"), Linear(block + "attn.qkv"));
    FoldedNorm q_norm = NormInDouble(block + "attn.q_norm");
    if (q_norm.exists()) {
      q_norm.weight = q_norm.weight * scale;
      q_norm.bias = q_norm.bias * scale;
      folded.q_norm = Rounded(q_norm);
      folded.k_norm = Norm(block + "attn.k_norm");
    } else {
      qkv.weight.slice(0, 0, dim) *= scale;
      qkv.bias.slice(0, 0, dim) *= scale;
    }
    folded.qkv = Rounded(qkv);
    const FoldedLinear proj =
        config_.attn_proj() ? Linear(block + "attn.proj")
                            : FoldedLinear{at::eye(dim, at::kDouble), at::zeros(dim, at::kDouble)};
    folded.proj = Rounded(Scaled(proj, block + "ls1"));
    folded.fc1 = Rounded(After(NormInDouble(norms + "norm2"), Linear(block + "mlp.fc1")));
    folded.fc2 = Rounded(Scaled(Linear(block + "mlp.fc2"), block + "ls2"));
    return folded;
  }

  // Adds the patch projection. A pixel is (byte / 255 - mean) / std.
  void AddPatches(const vit::v1::DataConfig& preprocessing, FoldedWeights* folded) const {
    const FoldedLinear projection = Linear("patch_embed.proj");
    const int64_t values = PatchValues(config_);
    at::Tensor scale = at::empty({3, values / 3}, at::kDouble), offset = at::empty_like(scale);
    for (int channel = 0; channel < 3; ++channel) {
      const double deviation = preprocessing.std(channel), mean = preprocessing.mean(channel);
      scale.select(0, channel).fill_(1 / (255 * deviation));
      offset.select(0, channel).fill_((kByteCentre / 255.0 - mean) / deviation);
    }
    const FoldedNorm pixels = {
        .weight = scale.flatten(), .bias = offset.flatten(), .normalizes = false};
    if (!config_.patch_norm()) {
      folded->patches = Rounded(After(pixels, projection));
      return;
    }
    folded->pixels = Rounded(pixels);
    folded->patches = Rounded(After(NormInDouble("patch_embed.input_norm"), projection));
    folded->patch_norm = Norm("patch_embed.norm");
  }

  // Adds the tokens in front and the positions.
  void AddTokens(int64_t image_size, FoldedWeights* folded) const {
    const int64_t dim = config_.embed_dim();
    const PatchGrid grid = {image_size / config_.patch_size(), image_size / config_.patch_width()};
    const PatchGrid trained = {config_.image_size() / config_.patch_size(),
                               config_.image_size() / config_.patch_width()};
    const int64_t with_position = PositionCount(config_) - PatchCount(config_);
    std::vector<at::Tensor> tokens;
    for (const char* name : {"cls_token", "dist_token", "reg_token"}) {
      const at::Tensor token = Get(name);
      if (token.defined()) tokens.push_back(token.squeeze(0));
    }
    at::Tensor prefix = tokens.empty() ? at::zeros({0, dim}, at::kDouble) : at::cat(tokens);
    at::Tensor positions = at::zeros({grid.rows * grid.columns, dim}, at::kDouble);
    if (const at::Tensor embedding = Get("pos_embed"); embedding.defined()) {
      const at::Tensor resampled =
          ResamplePositionEmbedding(embedding.to(at::kFloat), with_position, trained, grid)
              .squeeze(0)
              .to(at::kDouble);
      prefix.slice(0, 0, with_position) += resampled.slice(0, 0, with_position);
      positions = resampled.slice(0, with_position);
    }
    folded->prefix = prefix.to(at::kFloat).contiguous();
    folded->positions = positions.to(at::kFloat).contiguous();
  }

  const vit::v1::ModelConfig& config_;
  std::map<std::string, at::Tensor> state_;
};

}  // namespace

FoldedWeights Fold(const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
                   int64_t image_size) {
  return Folder(model).Fold(preprocessing, image_size);
}

}  // namespace vit::frozen
