#include "core/weights/layout_names.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace vit {

const Renames& TimmRenames() {
  static const auto* const renames = new Renames{
      {".register_tokens", ".reg_token"},
      {".gamma_1", ".ls1.gamma"},
      {".gamma_2", ".ls2.gamma"},
  };
  return *renames;
}

const Renames& HuggingFaceRenames() {
  static const auto* const renames = new Renames{
      {".embeddings.cls_token", ".cls_token"},
      {".embeddings.distillation_token", ".dist_token"},
      {".embeddings.register_tokens", ".reg_token"},
      {".embeddings.position_embeddings", ".pos_embed"},
      {".embeddings.patch_embeddings.projection.", ".patch_embed.proj."},
      {".encoder.layer.", ".blocks."},
      {".attention.attention.", ".attn."},
      {".attention.output.dense.", ".attn.proj."},
      {".intermediate.dense.", ".mlp.fc1."},
      {".output.dense.", ".mlp.fc2."},
      {".layernorm_before.", ".norm1."},
      {".layernorm_after.", ".norm2."},
      {".layer_scale1.lambda1", ".ls1.gamma"},
      {".layer_scale2.lambda1", ".ls2.gamma"},
      {".layernorm.", ".norm."},
      {".classifier.", ".head."},
  };
  return *renames;
}

const Renames& DeitHeadRenames() {
  static const auto* const renames = new Renames{
      {".cls_classifier.", ".head."},
      {".distillation_classifier.", ".head_dist."},
  };
  return *renames;
}

const Renames& TorchvisionRenames() {
  static const auto* const renames = new Renames{
      {".class_token", ".cls_token"},
      {".conv_proj.", ".patch_embed.proj."},
      {".encoder.pos_embedding", ".pos_embed"},
      {".encoder.layers.encoder_layer_", ".blocks."},
      {".ln_1.", ".norm1."},
      {".ln_2.", ".norm2."},
      {".self_attention.in_proj_", ".attn.qkv."},
      {".self_attention.out_proj.", ".attn.proj."},
      {".mlp.0.", ".mlp.fc1."},
      {".mlp.3.", ".mlp.fc2."},
      {".encoder.ln.", ".norm."},
      {".heads.head.", ".head."},
      {".heads.pre_logits.", ".pre_logits.fc."},
  };
  return *renames;
}

const Renames& OldTorchvisionRenames() {
  static const auto* const renames = new Renames{
      {".mlp.linear_1.", ".mlp.fc1."},
      {".mlp.linear_2.", ".mlp.fc2."},
  };
  return *renames;
}

const Renames& SharedNormRenames() {
  static const auto* const renames = new Renames{
      {".proj.", ".attn.proj."},
      {".fc1.", ".mlp.fc1."},
      {".fc2.", ".mlp.fc2."},
      {".qkv.", ".attn.qkv."},
      {".patch_norm.", ".patch_embed.input_norm."},
      {".patch_proj.", ".patch_embed.proj."},
      {".embed_norm.", ".patch_embed.norm."},
  };
  return *renames;
}

const Renames& BatchNormRenames() {
  static const auto* const renames = new Renames{
      {".patchify.", ".patch_embed.proj."},
      {".fc1.", ".mlp.fc1."},
      {".fc2.", ".mlp.fc2."},
      {".qkv.", ".attn.qkv."},
      {".head.1.", ".pre_logits.fc."},
      {".head.3.", ".head."},
  };
  return *renames;
}

std::string Renamed(const std::string& name, const Renames& renames) {
  std::string dotted = absl::StrCat(".", name);
  for (const auto& [theirs, timms] : renames) absl::StrReplaceAll({{theirs, timms}}, &dotted);
  return dotted.substr(1);
}

std::string RenamedBack(const std::string& name, const Renames& renames) {
  std::string dotted = absl::StrCat(".", name);
  for (auto it = renames.rbegin(); it != renames.rend(); ++it)
    absl::StrReplaceAll({{it->second, it->first}}, &dotted);
  return dotted.substr(1);
}

}  // namespace vit
