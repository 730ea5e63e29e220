#include "core/weights/layouts/layout_names.h"

#include <set>

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
      {".embeddings.mask_token", ".mask_token"},
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
      {".classifier.weight", ".head.weight"},
      {".classifier.bias", ".head.bias"},
  };
  return *renames;
}

const Renames& HuggingFaceMemoryRenames() {
  static const auto* const renames = new Renames{
      {".layers.", ".encoder.layer."},
      {".attention.q_proj.", ".attention.attention.query."},
      {".attention.k_proj.", ".attention.attention.key."},
      {".attention.v_proj.", ".attention.attention.value."},
      {".attention.o_proj.", ".attention.output.dense."},
  };
  return *renames;
}

const Renames& Dinov2Renames() {
  static const auto* const renames = [] {
    auto* const own = new Renames;
    for (const auto& each : HuggingFaceRenames()) {
      const bool of_vit = each.second == ".mlp.fc1." || each.second == ".mlp.fc2." ||
                          each.second == ".norm1." || each.second == ".norm2.";
      if (!of_vit) own->push_back(each);
    }
    return own;
  }();
  return *renames;
}

const Renames& DeitRenames() {
  static const auto* const renames = [] {
    auto* const own = new Renames(HuggingFaceRenames());
    for (auto& [theirs, timms] : *own) {
      if (timms == ".dist_token") timms = ".reg_token";
    }
    std::erase_if(*own,
                  [](const auto& each) { return each.first == ".embeddings.register_tokens"; });
    return own;
  }();
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
  for (auto it = renames.rbegin(); it != renames.rend(); ++it) {
    absl::StrReplaceAll({{it->second, it->first}}, &dotted);
  }
  return dotted.substr(1);
}

bool IsHeadName(const std::string& name) {
  static const auto* const modules =
      new std::set<std::string>{"head",           "heads",
                                "head_dist",      "classifier",
                                "cls_classifier", "distillation_classifier",
                                "linear_head",    "fc",
                                "cls_head",       "mlp_head",
                                "classifier_head"};
  return modules->contains(name.substr(0, name.find('.')));
}

}  // namespace vit
