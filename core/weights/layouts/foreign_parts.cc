#include "core/weights/layouts/foreign_parts.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"

namespace vit {
namespace {

// At most this many names in one message.
constexpr size_t kMaxNames = 3;

struct Part {
  absl::string_view in_name;
  absl::string_view what;
};
// The first that is found in the name, with a dot added before and after it, counts.
constexpr Part kParts[] = {
    {"relative_position", "relative position bias (BEiT)"},
    {"rel_pos", "relative position bias"},
    {".rope", "rotary position embedding (EVA-02, DINOv3)"},
    {".freqs", "rotary position embedding (EVA-02, DINOv3)"},
    {".periods", "rotary position embedding (DINOv3)"},
    {"bias_mask", "masked biases (DINOv3)"},
    {"storage_tokens", "DINOv3's registers"},
    {".q_bias.", "separate biases of query and value (BEiT, EVA)"},
    {".v_bias.", "separate biases of query and value (BEiT, EVA)"},
    {".mlp.w1", "SwiGLU in its MLPs"},
    {".mlp.w2.", "SwiGLU in its MLPs"},
    {".mlp.w3.", "SwiGLU in its MLPs"},
    {".fc1_g.", "SwiGLU in its MLPs"},
    {".fc1_x.", "SwiGLU in its MLPs"},
    {".mlp.gate", "a gated MLP (SwiGLU)"},
    {".mlp.up_proj.", "a gated MLP (SwiGLU)"},
    {".mlp.down_proj.", "a gated MLP (SwiGLU)"},
    {".mlp.weights_in.", "SwiGLU in its MLPs"},
    {".mlp.weights_out.", "SwiGLU in its MLPs"},
    {".mlp.experts.", "a mixture of experts"},
    {".attn_pool.", "attention pooling (timm's global_pool 'map', SigLIP)"},
    {".head.probe.", "attention pooling (SigLIP)"},
    {".attentional_pooler.", "attention pooling"},
    {".pooler.", "a pooling layer"},
    {".attn.norm.", "a norm inside its attention"},
    {".inner_attn_ln.", "a norm inside its attention"},
    {".mlp.norm.", "a norm inside its MLPs"},
    {".ffn_ln.", "a norm inside its MLPs"},
    {".lambda_q", "differential attention"},
    {".lambda_k", "differential attention"},
    {".sub_norm.", "differential attention"},
    {".lambda_1.", "LayerScale under BEiT's names"},
    {".lambda_2.", "LayerScale under BEiT's names"},
    {".in_proj.", "attention and MLP in parallel"},
    {".in_norm.", "attention and MLP in parallel"},
    {".mlp_out_proj.", "attention and MLP in parallel"},
    {".attn_out_proj.", "attention and MLP in parallel"},
    {".mlp_bias.", "attention and MLP in parallel"},
    {".attns.", "several attentions in parallel"},
    {".ffns.", "several MLPs in parallel"},
    {".norm3.", "norms after its branches (post-norm)"},
    {".norm1_post.", "norms after its branches (post-norm)"},
    {".norm2_post.", "norms after its branches (post-norm)"},
    {".post_norm", "norms after its branches (post-norm)"},
    {".attn_norm", "norms in other places"},
    {".cross_attn.", "cross attention"},
    {".crossattention.", "cross attention"},
    {".logit_scale.", "cosine attention"},
    {".adapter", "adapters"},
    {".lora_", "LoRA's matrices; merge them into the weights first"},
    {".gate", "gates"},
    {".patch_embed.backbone.", "a convolutional network in front (a hybrid)"},
    {".patch_embed.", "another patch embedding"},
    {".pos_embed", "another position embedding"},
    {".temporal", "positions in time"},
    {".norm_pre.", "a norm in front of its blocks"},
    {".fc_norm.", "a norm after pooling"},
    {".norm", "further norms"},
};

// The parts of a block that some supported model has.
bool IsKnownInBlock(absl::string_view part) {
  static const auto* const known = new std::set<std::string, std::less<>>{
      "norm1.weight",       "norm1.bias",         "norm2.weight",
      "norm2.bias",         "norm1.running_mean", "norm1.running_var",
      "norm2.running_mean", "norm2.running_var",  "norm1.num_batches_tracked",
      "attn.qkv.weight",    "attn.qkv.bias",      "norm2.num_batches_tracked",
      "attn.query.weight",  "attn.query.bias",    "attn.key.weight",
      "attn.key.bias",      "attn.value.weight",  "attn.value.bias",
      "attn.proj.weight",   "attn.proj.bias",     "attn.q_norm.weight",
      "attn.q_norm.bias",   "attn.k_norm.weight", "attn.k_norm.bias",
      "mlp.fc1.weight",     "mlp.fc1.bias",       "mlp.fc2.weight",
      "mlp.fc2.bias",       "ls1.gamma",          "ls2.gamma"};
  return known->find(part) != known->end();
}

// "blocks.3.attn.qkv.weight" -> "attn.qkv.weight"; empty for a name outside the blocks.
absl::string_view InBlock(absl::string_view name) {
  if (!absl::StartsWith(name, "blocks.")) return "";
  const size_t dot = name.find('.', 7);
  return dot == absl::string_view::npos ? name : name.substr(dot + 1);
}

std::string Names(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMaxNames);
  return absl::StrCat(
      "'", absl::StrJoin(names.begin(), names.begin() + shown, "', '"), "'",
      names.size() > shown ? absl::StrCat(" and ", names.size() - shown, " more") : "");
}

absl::Status Refuse(const std::vector<std::string>& names) {
  std::vector<std::string> parts;
  for (const std::string& name : names) {
    const std::string part = DescribePart(name);
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the weights belong to another model: they have ", absl::StrJoin(parts, " and "),
                   ", which vitd does not have (", Names(names), ")"));
}

// Whether the tensor affects an image's features. What self-supervised training and the like save
// with the weights does not.
bool IsOfFormula(const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  const std::string first = lower.substr(0, lower.find('.'));
  if (absl::StartsWith(lower, "head.mlp.") || absl::StartsWith(lower, "head.last_layer.")) {
    return false;  // DINO's projection
  }
  for (const absl::string_view beside :
       {"mask_token", "masked_embed", "decoder", "dino", "ibot", "proj_head", "projection_head",
        "projector", "predictor", "prototypes"}) {
    if (absl::StartsWith(first, beside)) return false;
  }
  if (first == "head" || first == "heads" || first == "head_dist") return true;
  for (const absl::string_view start :
       {"block", "layer", "encoder", "transformer", "patch", "pos", "rel_", "relative", "ln",
        "conv", "stem", "freq", "period"}) {
    if (absl::StartsWith(first, start)) return true;
  }
  for (const absl::string_view word :
       {"norm", "pool", "embed", "token", "attn", "attention", "rope"}) {
    if (absl::StrContains(first, word)) return true;
  }
  return false;
}

}  // namespace

std::string DescribePart(const std::string& name) {
  const std::string dotted = absl::StrCat(".", absl::AsciiStrToLower(name), ".");
  for (const Part& part : kParts) {
    if (absl::StrContains(dotted, part.in_name)) return std::string(part.what);
  }
  return "a part of another kind";
}

absl::Status CheckBlocks(const TensorMap& tensors) {
  std::vector<std::string> foreign;
  for (const auto& [name, tensor] : tensors) {
    const absl::string_view part = InBlock(name);
    const bool unknown = !part.empty() && !IsKnownInBlock(part);
    if (unknown || absl::StrContains(name, "/encoderblock")) foreign.push_back(name);
  }
  if (!foreign.empty()) return Refuse(foreign);
  if (tensors.contains("blocks.0.norm1.weight") && !tensors.contains("blocks.0.norm1.bias")) {
    return absl::InvalidArgumentError(
        "the weights belong to another model: their norms have no biases (RMSNorm), but vitd's do "
        "('blocks.0.norm1.bias' is missing)");
  }
  return absl::OkStatus();
}

absl::Status CheckUnused(const std::vector<std::string>& unused) {
  std::vector<std::string> foreign;
  for (const std::string& name : unused) {
    if (IsOfFormula(name)) foreign.push_back(name);
  }
  return foreign.empty() ? absl::OkStatus() : Refuse(foreign);
}

}  // namespace vit
