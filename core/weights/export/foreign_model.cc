#include "core/weights/export/foreign_model.h"

#include <torch/torch.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/pytorch/write_pytorch.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/export/expressible.h"
#include "core/weights/layouts/layout_names.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// In the model's own order.
NamedTensors InOrder(const TensorMap& tensors, const vit::v1::ModelConfig& config) {
  const VisionTransformer model(config);  // allocated, never touched
  NamedTensors ordered;
  for (const auto& [name, own] : StateDict(*model)) ordered.emplace_back(name, tensors.at(name));
  return ordered;
}

// The transformers models that vitd's models are written as.
enum class Kind { kVit, kDeit, kDeitWithTeacher, kDinov2, kDinov2WithRegisters };

Kind KindOf(const vit::v1::ModelConfig& config) {
  if (config.global_pool() == vit::v1::GLOBAL_POOL_TOKEN_AND_AVG) {
    return config.reg_tokens() > 0 ? Kind::kDinov2WithRegisters : Kind::kDinov2;
  }
  if (config.distillation_token()) return Kind::kDeitWithTeacher;
  return config.reg_tokens() > 0 ? Kind::kDeit : Kind::kVit;
}

struct KindNames {
  const char* architecture;
  const char* model_type;  // with a dot, the prefix of the names
};
KindNames NamesOf(Kind kind) {
  switch (kind) {
    case Kind::kVit:
      return {"ViTForImageClassification", "vit"};
    case Kind::kDeit:
      return {"DeiTForImageClassification", "deit"};
    case Kind::kDeitWithTeacher:
      return {"DeiTForImageClassificationWithTeacher", "deit"};
    case Kind::kDinov2:
      return {"Dinov2ForImageClassification", "dinov2"};
    case Kind::kDinov2WithRegisters:
      return {"Dinov2WithRegistersForImageClassification", "dinov2_with_registers"};
  }
  return {};
}

const Renames& RenamesOf(Kind kind, bool head) {
  if (kind == Kind::kDinov2 || kind == Kind::kDinov2WithRegisters) return Dinov2Renames();
  if (kind == Kind::kDeit && !head) return DeitRenames();
  return kind == Kind::kDeitWithTeacher && head ? DeitHeadRenames() : HuggingFaceRenames();
}

NamedTensors ToHuggingFaceNames(const TensorMap& tensors, const vit::v1::ModelConfig& config) {
  const Kind kind = KindOf(config);
  NamedTensors renamed;
  const auto add = [&](const std::string& timms, const at::Tensor& tensor) {
    const bool head = absl::StartsWith(timms, "head");
    const std::string prefix = head ? "" : absl::StrCat(NamesOf(kind).model_type, ".");
    renamed.emplace_back(absl::StrCat(prefix, RenamedBack(timms, RenamesOf(kind, head))), tensor);
  };
  for (const auto& [name, tensor] : InOrder(tensors, config)) {
    if (name == "pos_embed" && kind == Kind::kDinov2WithRegisters) {
      // There the class token has a position too; here it has none.
      add(name, at::cat({at::zeros_like(tensor.slice(1, 0, 1)), tensor}, 1));
      continue;
    }
    if (!absl::StrContains(name, ".attn.qkv.")) {
      add(name, tensor);
      continue;
    }
    const std::vector<at::Tensor> parts = tensor.chunk(3);
    const char* const names[] = {".attn.query.", ".attn.key.", ".attn.value."};
    for (size_t i = 0; i < parts.size(); ++i) {
      add(absl::StrReplaceAll(name, {{".attn.qkv.", names[i]}}), parts[i]);
    }
  }
  if (kind == Kind::kDinov2 || kind == Kind::kDinov2WithRegisters) {
    renamed.emplace_back(absl::StrCat(NamesOf(kind).model_type, ".embeddings.mask_token"),
                         at::zeros({1, config.embed_dim()}));
  }
  return renamed;
}

const char* HiddenAct(vit::v1::Activation activation) {
  switch (activation) {
    case vit::v1::ACTIVATION_GELU_TANH:
      return "gelu_pytorch_tanh";
    case vit::v1::ACTIVATION_QUICK_GELU:
      return "quick_gelu";
    default:
      return "gelu";
  }
}

std::vector<double> ToVector(const google::protobuf::RepeatedField<double>& values) {
  return {values.begin(), values.end()};
}

// Pillow's number for the filter.
int Resample(const vit::v1::DataConfig& data) {
  return data.interpolation() == vit::v1::INTERPOLATION_BILINEAR ? 2 : 3;
}

// The side to which evaluation resizes, in pixels.
int ResizeSide(const ModelDescription& description) {
  return static_cast<int>(
      std::floor(description.model.image_size() / description.preprocessing.eval().crop_pct()));
}

Json HuggingFaceConfig(const ModelDescription& description) {
  const auto& m = description.model;
  Json id2label = Json::object(), label2id = Json::object();
  for (size_t i = 0; i < description.labels.size(); ++i) {
    id2label[absl::StrCat(i)] = description.labels[i];
    label2id[description.labels[i]] = i;
  }
  const Kind kind = KindOf(m);
  Json config = {{"architectures", Json::array({NamesOf(kind).architecture})},
                 {"model_type", NamesOf(kind).model_type},
                 {"hidden_size", m.embed_dim()},
                 {"num_hidden_layers", m.depth()},
                 {"num_attention_heads", m.num_heads()},
                 {"intermediate_size", MlpHiddenDim(m)},
                 {"hidden_act", HiddenAct(m.activation())},
                 {"hidden_dropout_prob", m.proj_drop_rate()},
                 {"attention_probs_dropout_prob", m.attn_drop_rate()},
                 {"initializer_range", 0.02},
                 {"layer_norm_eps", m.layer_norm_eps()},
                 {"image_size", m.image_size()},
                 {"patch_size", m.patch_size()},
                 {"num_channels", m.in_channels()},
                 {"qkv_bias", m.qkv_bias()},
                 {"dtype", "float32"},
                 {"id2label", std::move(id2label)},
                 {"label2id", std::move(label2id)}};
  if (kind == Kind::kDinov2 || kind == Kind::kDinov2WithRegisters) {
    config["mlp_ratio"] = MlpHiddenDim(m) / m.embed_dim();  // a whole number there
    config["layerscale_value"] = m.init_values();
    config["use_swiglu_ffn"] = false;
    if (m.reg_tokens() > 0) config["num_register_tokens"] = m.reg_tokens();
  }
  return config;
}

// ViT's own image processor always squashes; BiT's keeps proportions and crops.
Json HuggingFaceProcessor(const ModelDescription& description) {
  const auto& data = description.preprocessing;
  const int side = description.model.image_size(), resized = ResizeSide(description);
  const bool squash = data.eval().crop_mode() == vit::v1::CROP_MODE_SQUASH;
  const Json size =
      squash ? Json{{"height", resized}, {"width", resized}} : Json{{"shortest_edge", resized}};
  return {{"image_processor_type", squash ? "DeiTImageProcessor" : "BitImageProcessor"},
          {"do_resize", true},
          {"size", size},
          {"resample", Resample(data)},
          {"do_center_crop", true},
          {"crop_size", {{"height", side}, {"width", side}}},
          {"do_rescale", true},
          {"rescale_factor", 1.0 / 255},
          {"do_normalize", true},
          {"image_mean", ToVector(data.mean())},
          {"image_std", ToVector(data.std())},
          {"do_convert_rgb", true}};
}

Json TorchvisionConfig(const ModelDescription& description) {
  const auto& m = description.model;
  const auto& data = description.preprocessing;
  const bool bilinear = data.interpolation() == vit::v1::INTERPOLATION_BILINEAR;
  Json arguments = {{"image_size", m.image_size()},  {"patch_size", m.patch_size()},
                    {"num_layers", m.depth()},       {"num_heads", m.num_heads()},
                    {"hidden_dim", m.embed_dim()},   {"mlp_dim", MlpHiddenDim(m)},
                    {"num_classes", m.num_classes()}};
  if (m.representation_size() > 0) arguments["representation_size"] = m.representation_size();
  const int resized = ResizeSide(description);
  const bool squash = data.eval().crop_mode() == vit::v1::CROP_MODE_SQUASH;
  return {{"torchvision", std::move(arguments)},
          {"transforms",
           {{"crop_size", m.image_size()},
            {"resize_size", squash ? Json{resized, resized} : Json(resized)},
            {"mean", ToVector(data.mean())},
            {"std", ToVector(data.std())},
            {"interpolation", bilinear ? "bilinear" : "bicubic"}}},
          {"pretrained_cfg",
           {{"mean", ToVector(data.mean())},
            {"std", ToVector(data.std())},
            {"interpolation", bilinear ? "bilinear" : "bicubic"},
            {"crop_mode", squash ? "squash" : "center"},
            {"crop_pct", data.eval().crop_pct()}}}};
}

absl::Status WriteJson(const fs::path& path, Json json, const Provenance& provenance) {
  if (!provenance.empty()) json["exported_from"] = provenance;
  return WriteFile(path, json.dump(2) + "\n");
}

}  // namespace

absl::Status WriteHuggingFace(const fs::path& directory, const TensorMap& tensors,
                              const ModelDescription& description, const Provenance& provenance) {
  VIT_RETURN_IF_ERROR(CheckExpressible(description.model, Program::kHuggingFace));
  return CatchExceptions("export", [&]() -> absl::Status {
    VIT_RETURN_IF_ERROR(
        WriteJson(directory / "config.json", HuggingFaceConfig(description), provenance));
    VIT_RETURN_IF_ERROR(
        WriteJson(directory / "preprocessor_config.json", HuggingFaceProcessor(description), {}));
    return WriteSafetensors(directory / "model.safetensors",
                            ToHuggingFaceNames(tensors, description.model), {{"format", "pt"}});
  });
}

absl::Status WriteTorchvision(const fs::path& directory, const TensorMap& tensors,
                              const ModelDescription& description, const Provenance& provenance) {
  VIT_RETURN_IF_ERROR(CheckExpressible(description.model, Program::kTorchvision));
  return CatchExceptions("export", [&]() -> absl::Status {
    NamedTensors renamed;
    for (auto& [name, tensor] : InOrder(tensors, description.model)) {
      renamed.emplace_back(RenamedBack(name, TorchvisionRenames()), tensor);
    }
    VIT_RETURN_IF_ERROR(
        WriteJson(directory / "config.json", TorchvisionConfig(description), provenance));
    VIT_RETURN_IF_ERROR(WriteFile(directory / "labels.txt", LabelLines(description.labels)));
    return WritePytorch(directory / "model.pth", renamed);
  });
}

}  // namespace vit
