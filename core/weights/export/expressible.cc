#include "core/weights/export/expressible.h"

#include "absl/strings/str_cat.h"
#include "core/model/model_config.h"

namespace vit {
namespace {

const char* NameOf(Program program) {
  switch (program) {
    case Program::kTimm:
      return "timm";
    case Program::kHuggingFace:
      return "Hugging Face transformers";
    case Program::kTorchvision:
      return "torchvision's VisionTransformer";
  }
  return "";
}

}  // namespace

absl::Status CheckExpressible(const vit::v1::ModelConfig& m, Program program) {
  const bool timm = program == Program::kTimm;
  const bool hugging_face = program == Program::kHuggingFace;
  const bool torchvision = program == Program::kTorchvision;
  const bool token_and_avg = m.global_pool() == v1::GLOBAL_POOL_TOKEN_AND_AVG;
  const bool dinov2 = hugging_face && token_and_avg;
  // transformers' DeiT with one head: its distillation token is one register with a position.
  const bool deit = hugging_face && m.global_pool() == v1::GLOBAL_POOL_TOKEN &&
                    m.reg_tokens() == 1 && !m.no_embed_class() && !m.distillation_token();
  const struct {
    bool used;
    bool known;  // to `program`
    const char* what;
  } features[] = {
      {m.shared_norm(), false, "model.shared_norm"},
      {m.patch_norm(), false, "model.patch_norm"},
      {m.scale_by_embed_dim(), false, "model.scale_by_embed_dim"},
      {!m.attn_proj(), false, "model.attn_proj=false"},
      {m.norm_layer() != v1::NORM_LAYER_LAYER_NORM, false, "model.norm_layer=batch_norm"},
      {m.global_pool() == v1::GLOBAL_POOL_FLATTEN, false, "model.global_pool=flatten"},
      {token_and_avg, hugging_face, "model.global_pool=token_and_avg"},
      {m.global_pool() != v1::GLOBAL_POOL_TOKEN, timm || dinov2,
       "model.global_pool other than token"},
      {m.num_classes() == 0, timm, "model.num_classes=0 (no head)"},
      {m.activation() != v1::ACTIVATION_GELU, !torchvision, "model.activation other than GELU"},
      {!m.class_token(), timm, "model.class_token=false"},
      {m.reg_tokens() > 0, (timm && !m.distillation_token()) || dinov2 || deit, "model.reg_tokens"},
      {m.distillation_token(), timm || hugging_face, "model.distillation_token"},
      {m.no_embed_class(), timm || (dinov2 && m.reg_tokens() > 0), "model.no_embed_class"},
      {dinov2 && m.reg_tokens() > 0 && !m.no_embed_class(), false,
       "model.reg_tokens with positions"},
      {m.pre_norm(), timm, "model.pre_norm"},
      {m.qk_norm(), timm, "model.qk_norm"},
      {m.init_values() != 0, timm || dinov2, "model.init_values"},
      {m.init_values() == 0, !dinov2, "model.init_values=0"},
      {dinov2 && MlpHiddenDim(m) % m.embed_dim() != 0, false,
       "a model.mlp_ratio that is not whole"},
      {m.fc_norm() && m.final_norm(), timm, "model.fc_norm"},
      {!m.final_norm(), timm, "model.final_norm=false"},
      {!m.proj_bias(), timm, "model.proj_bias=false"},
      {!m.qkv_bias(), timm || hugging_face, "model.qkv_bias=false"},
      {m.pos_embed() == v1::POSITION_EMBEDDING_NONE, timm, "model.pos_embed=none"},
      {m.patch_width() != m.patch_size(), timm, "model.patch_width"},
      {m.representation_size() > 0,
       torchvision && m.representation_activation() == v1::REPRESENTATION_ACTIVATION_TANH,
       "model.representation_size"},
      // 1e-6 gives the same answers as smaller ones, such as transformers' 1e-12.
      {m.layer_norm_eps() > 1e-6,
       hugging_face || (timm && m.layer_norm_eps() == kClipEpsilon && !m.distillation_token()),
       "model.layer_norm_eps above 1e-6"},
  };
  for (const auto& feature : features) {
    if (!feature.used || feature.known) continue;
    return absl::FailedPreconditionError(absl::StrCat("the model has ", feature.what, ", which ",
                                                      NameOf(program), " does not have"));
  }
  return absl::OkStatus();
}

}  // namespace vit
