#include "core/weights/model_directory.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/spec/defaults.h"
#include "core/weights/export/expressible.h"
#include "core/weights/layouts/timm_architecture.h"
#include "proto/message_json.h"

namespace vit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxDescriptionBytes = int64_t{64} << 20;

std::string InterpolationName(vit::v1::Interpolation interpolation) {
  return interpolation == vit::v1::INTERPOLATION_BILINEAR ? "bilinear" : "bicubic";
}

std::string CropModeName(vit::v1::CropMode mode) {
  return mode == vit::v1::CROP_MODE_SQUASH ? "squash" : "center";
}

Json ToJson(const google::protobuf::Message& message) {
  return Json::parse(MessageToJson(message, /*indented=*/false));
}

absl::Status FromJson(const Json& json, google::protobuf::Message* message) {
  const absl::Status status = MessageFromJson(json.dump(), message);
  return status.ok() ? status : absl::DataLossError(status.message());
}

std::string PoolName(const vit::v1::ModelConfig& model) {
  switch (model.global_pool()) {
    case vit::v1::GLOBAL_POOL_AVG:
      return "avg";
    case vit::v1::GLOBAL_POOL_MAX:
      return "max";
    case vit::v1::GLOBAL_POOL_TOKEN_AND_AVG:
      return "token_and_avg";
    default:
      return "token";
  }
}

// The arguments of timm's VisionTransformer.
Json TimmModelArguments(const vit::v1::ModelConfig& m) {
  Json arguments = {{"img_size", m.image_size()},   {"patch_size", m.patch_size()},
                    {"embed_dim", m.embed_dim()},   {"depth", m.depth()},
                    {"num_heads", m.num_heads()},   {"mlp_ratio", m.mlp_ratio()},
                    {"qkv_bias", m.qkv_bias()},     {"proj_bias", m.proj_bias()},
                    {"qk_norm", m.qk_norm()},       {"class_token", m.class_token()},
                    {"reg_tokens", m.reg_tokens()}, {"no_embed_class", m.no_embed_class()},
                    {"pre_norm", m.pre_norm()},     {"fc_norm", m.fc_norm()},
                    {"final_norm", m.final_norm()}, {"dynamic_img_size", m.dynamic_image_size()},
                    {"global_pool", PoolName(m)}};
  if (m.patch_width() != m.patch_size()) {
    arguments["patch_size"] = {m.patch_size(), m.patch_width()};
  }
  if (m.init_values() != 0) arguments["init_values"] = m.init_values();
  if (m.pos_embed() == vit::v1::POSITION_EMBEDDING_NONE) arguments["pos_embed"] = "none";
  if (m.activation() != vit::v1::ACTIVATION_GELU) {
    arguments["act_layer"] = TimmActivationName(m.activation());
  }
  return arguments;
}

// What timm.create_model('local-dir:...') reads: the architecture it names is built with
// model_args. A model that is not timm's names an architecture that timm does not know.
Json TimmConfig(const ModelDescription& description) {
  const auto& model = description.model;
  const auto& data = description.preprocessing;
  const bool timms = CheckExpressible(model, Program::kTimm).ok();
  const char* const architecture = !timms                       ? "vitd"
                                   : model.distillation_token() ? "deit_base_distilled_patch16_224"
                                   : model.layer_norm_eps() == kClipEpsilon
                                       ? "vit_base_patch16_clip_224"
                                       : "vit_base_patch16_224";
  Json config = {
      {"architecture", architecture},
      {"num_classes", model.num_classes()},
      {"num_features", model.embed_dim()},
      {"global_pool", PoolName(model)},
      {"model_args", TimmModelArguments(model)},
      {"label_names", description.labels},
      {"pretrained_cfg",
       {{"num_classes", model.num_classes()},
        {"input_size", {3, model.image_size(), model.image_size()}},
        {"interpolation", InterpolationName(data.interpolation())},
        {"crop_pct", data.eval().crop_pct()},
        {"crop_mode", CropModeName(data.eval().crop_mode())},
        {"mean", std::vector<double>(data.mean().begin(), data.mean().end())},
        {"std", std::vector<double>(data.std().begin(), data.std().end())},
        {"first_conv", "patch_embed.proj"},
        {"classifier", "head"}}},
  };
  if (model.distillation_token()) config["pretrained_cfg"]["classifier"] = {"head", "head_dist"};
  if (data.eval().has_image_size()) {
    config["pretrained_cfg"]["test_input_size"] = {3, data.eval().image_size(),
                                                   data.eval().image_size()};
  }
  return config;
}

}  // namespace

const std::vector<std::string>& ModelFiles() {
  static const auto* const files =
      new std::vector<std::string>{kConfigFile, kLabelsFile, kWeightsFile};
  return *files;
}

std::string LabelLines(const std::vector<std::string>& labels) {
  return labels.empty() ? "" : absl::StrJoin(labels, "\n") + "\n";
}

std::vector<std::string> ParseLabelLines(const std::string& text) {
  std::vector<std::string> labels = absl::StrSplit(text, '\n');
  if (labels.back().empty()) labels.pop_back();
  return labels;
}

absl::Status WriteModelDescription(const std::filesystem::path& directory,
                                   const ModelDescription& description,
                                   const Provenance& provenance) {
  vit::v1::DataConfig preprocessing;
  *preprocessing.mutable_mean() = description.preprocessing.mean();
  *preprocessing.mutable_std() = description.preprocessing.std();
  preprocessing.set_interpolation(description.preprocessing.interpolation());
  *preprocessing.mutable_eval() = description.preprocessing.eval();
  preprocessing.set_apply_orientation(description.preprocessing.apply_orientation());
  return CatchExceptions("write config.json", [&]() -> absl::Status {
    Json config = TimmConfig(description);
    config["vitd"] = {{"model", ToJson(description.model)},
                      {"preprocessing", ToJson(preprocessing)},
                      {"precision", vit::v1::Precision_Name(description.precision)}};
    if (!provenance.empty()) config["exported_from"] = provenance;
    VIT_RETURN_IF_ERROR(WriteFile(directory / kConfigFile, config.dump(2) + "\n"));
    return WriteFile(directory / kLabelsFile, LabelLines(description.labels));
  });
}

absl::StatusOr<ModelDescription> ReadModelDescription(const std::filesystem::path& directory) {
  const std::filesystem::path config_path = directory / kConfigFile;
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(config_path, kMaxDescriptionBytes));
  VIT_ASSIGN_OR_RETURN(const std::string labels,
                       ReadFile(directory / kLabelsFile, kMaxDescriptionBytes));
  const Json config = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object() || !config.contains("vitd") || !config["vitd"].contains("model") ||
      !config["vitd"].contains("preprocessing")) {
    return absl::DataLossError(
        absl::StrCat(config_path.string(), " does not have vitd.model and vitd.preprocessing"));
  }
  ModelDescription description;
  VIT_RETURN_IF_ERROR(
      Annotate(FromJson(config["vitd"]["model"], &description.model), config_path.string()));
  VIT_RETURN_IF_ERROR(Annotate(
      FromJson(config["vitd"]["preprocessing"], &description.preprocessing), config_path.string()));
  if (config["vitd"].contains("precision") && config["vitd"]["precision"].is_string()) {
    vit::v1::Precision_Parse(config["vitd"]["precision"].get<std::string>(),
                             &description.precision);
  }
  description.labels = ParseLabelLines(labels);
  // Fills in fields that the file's writer did not know.
  FillModelDefaults(static_cast<int>(description.labels.size()), &description.model);
  if (static_cast<int>(description.labels.size()) != description.model.num_classes()) {
    return absl::DataLossError(absl::StrCat((directory / kLabelsFile).string(), " has ",
                                            description.labels.size(), " labels for ",
                                            description.model.num_classes(), " classes"));
  }
  return description;
}

}  // namespace vit
