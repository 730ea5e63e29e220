#include "core/weights/layouts/timm_architecture.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/spec/presets.h"
#include "vit/v1/training.pb.h"

namespace vit {
namespace {

// Parts of names of other formulas. The first that matches counts.
struct Family {
  absl::string_view part;
  bool in_front;  // the name begins with it
  absl::string_view what;
};
constexpr Family kOthers[] = {
    {"beit3_", true, "norms inside its attention and MLPs"},
    {"beit", true, "relative position bias and separate biases of query and value"},
    {"eva02_", true, "rotary positions and SwiGLU"},
    {"eva_giant_", true, "separate biases of query and value"},
    {"aimv2_", true, "RMSNorm and SwiGLU"},
    {"naflexvit_", true, "patches of any aspect ratio"},
    {"samvit_", true, "windowed attention with relative positions"},
    {"vitamin_", true, "convolutional stages"},
    {"test_vit_relpos", true, "relative position bias"},
    {"test_vit3", true, "attention pooling"},
    {"test_vit4", true, "RMSNorm"},
    {"vit_relpos_", true, "relative position bias"},
    {"vit_srelpos_", true, "relative position bias"},
    {"vit_pe_", true, "rotary positions"},
    {"vit_dlittle_", true, "differential attention"},
    {"vit_dwee_", true, "differential attention"},
    {"vit_dpwee_", true, "differential attention, and attention and MLP in parallel"},
    {"vit_pwee_", true, "attention and MLP in parallel"},
    {"vit_giant_patch14_dinov2", true, "SwiGLU"},
    {"vit_giant_patch14_reg", true, "SwiGLU"},
    {"_dinov3", false, "rotary positions"},
    {"_rope_", false, "rotary positions"},
    {"_lingbot", false, "rotary positions"},
    {"_sapiens2", false, "rotary positions"},
    {"_xp_", false, "RMSNorm, and attention and MLP in parallel"},
    {"_18x2_", false, "several attentions and MLPs in parallel"},
    {"_rpn_", false, "norms after its branches (post-norm)"},
    {"_map_", false, "attention pooling"},
    {"_r26_s", false, "a convolutional network in front (a hybrid)"},
    {"_r50_s", false, "a convolutional network in front (a hybrid)"},
    {"_r_s16_", false, "a convolutional network in front (a hybrid)"},
    {"_resnet", false, "a convolutional network in front (a hybrid)"},
    {"_mci_", false, "a convolutional network in front (a hybrid)"},
};

// Those of timm's SigLIP that approximate GELU by tanh, as their makers do; the others have the
// exact one in timm.
constexpr absl::string_view kTanh[] = {
    "vit_base_patch32_siglip_", "vit_giantopt_patch16_siglip_", "vit_large_patch16_siglip_512",
    "vit_large_patch16_siglip_gap_512", "vit_so400m_patch16_siglip_"};

absl::Status OtherFormula(absl::string_view architecture, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("architecture '", architecture,
                                                 "' is another model: it has ", what,
                                                 ", which vitd does not have"));
}

}  // namespace

absl::Status SetTimmArchitecture(const std::string& architecture, v1::ModelConfig* model) {
  const std::string name = architecture.substr(0, architecture.find('.'));
  for (const Family& family : kOthers) {
    if (family.in_front ? absl::StartsWith(name, family.part)
                        : absl::StrContains(name, family.part)) {
      return OtherFormula(name, family.what);
    }
  }
  const bool siglip = absl::StrContains(name, "_siglip_");
  if (siglip && !absl::StrContains(name, "_gap_")) return OtherFormula(name, "attention pooling");
  bool known = name == "vitd" || absl::StartsWith(name, "test_vit");
  for (const v1::Preset& preset : ModelPresets()) {
    if (preset.name() != name) continue;
    *model = preset.spec().model();
    known = true;
  }
  const bool timms = absl::StartsWith(name, "vit_") || absl::StartsWith(name, "deit_") ||
                     absl::StartsWith(name, "deit3_") || absl::StartsWith(name, "flexivit_") ||
                     absl::StartsWith(name, "eva_large_") || absl::StartsWith(name, "test_vit");
  if (!timms && !known) {
    return absl::InvalidArgumentError(absl::StrCat(
        "architecture '", name,
        "' is not supported: timm's vit_*, deit_*, deit3_*, flexivit_* and eva_large_* are; if its "
        "weights are a plain Vision Transformer's, import the weights file itself"));
  }
  if (!timms) return absl::OkStatus();
  if (absl::StrContains(name, "_clip_")) model->set_layer_norm_eps(1e-5);
  const bool tanh = std::any_of(std::begin(kTanh), std::end(kTanh), [&](absl::string_view start) {
    return absl::StartsWith(name, start);
  });
  model->set_activation(absl::StrContains(name, "_quickgelu_") ? v1::ACTIVATION_QUICK_GELU
                        : tanh                                 ? v1::ACTIVATION_GELU_TANH
                                                               : v1::ACTIVATION_GELU);
  return absl::OkStatus();
}

absl::Status SetTimmActivation(const std::string& name, v1::ModelConfig* model) {
  for (const v1::Activation activation :
       {v1::ACTIVATION_GELU, v1::ACTIVATION_GELU_TANH, v1::ACTIVATION_QUICK_GELU}) {
    if (name != TimmActivationName(activation)) continue;
    model->set_activation(activation);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "act_layer '", name, "' is not supported; expected gelu, gelu_tanh or quick_gelu"));
}

std::string TimmActivationName(v1::Activation activation) {
  switch (activation) {
    case v1::ACTIVATION_GELU_TANH:
      return "gelu_tanh";
    case v1::ACTIVATION_QUICK_GELU:
      return "quick_gelu";
    default:
      return "gelu";
  }
}

}  // namespace vit
