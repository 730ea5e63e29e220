#include "core/weights/pretrained_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/weights/layouts/timm_architecture.h"
#include "core/weights/model_directory.h"
#include "proto/message_json.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kMaxFileBytes = int64_t{64} << 20;
constexpr int kMaxLabels = 1'000'000;

absl::StatusOr<Json> ReadJson(const fs::path& path) {
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), " holds no JSON object"));
  }
  return json;
}

// Returns the member, or null if there is none.
const Json& Member(const Json& object, const char* name) {
  static const Json* const null = new Json;
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() ? *found : *null;
}

// Returns a side given as a number or as two equal ones.
std::optional<int> Side(const Json& json) {
  if (json.is_number_integer()) return json.get<int>();
  if (json.is_array() && json.size() == 2 && json[0].is_number_integer() && json[0] == json[1]) {
    return json[0].get<int>();
  }
  return std::nullopt;
}

template <typename Values>
void SetNumbers(const Json& json, Values* values) {
  if (!json.is_array() || json.size() != 3) return;
  if (!std::all_of(json.begin(), json.end(), [](const Json& j) { return j.is_number(); })) return;
  values->Clear();
  for (const Json& value : json) values->Add(value.get<double>());
}

void SetInterpolation(const std::string& name, vit::v1::DataConfig* data) {
  if (name == "bilinear") data->set_interpolation(vit::v1::INTERPOLATION_BILINEAR);
  if (name == "bicubic") data->set_interpolation(vit::v1::INTERPOLATION_BICUBIC);
}

// timm's arguments that weights show as well, or that only matter before or during training.
bool SaysNothingNew(const std::string& argument) {
  static const auto* const names = new std::set<std::string>{
      "patch_size",      "in_chans",        "num_classes",    "embed_dim",      "depth",
      "qkv_bias",        "proj_bias",       "class_token",    "reg_tokens",     "no_embed_class",
      "pre_norm",        "final_norm",      "qk_norm",        "drop_rate",      "pos_drop_rate",
      "patch_drop_rate", "proj_drop_rate",  "attn_drop_rate", "drop_path_rate", "weight_init",
      "fix_init",        "strict_img_size", "dynamic_img_pad"};
  return names->contains(argument);
}

// timm's switches for parts that vitd does not have.
bool IsOffByDefault(const std::string& argument) {
  static const auto* const names =
      new std::set<std::string>{"scale_attn_norm", "scale_mlp_norm", "pool_include_prefix"};
  return names->contains(argument);
}

bool ChangesNothing(const std::string& argument, const Json& value) {
  if (value.is_null() || SaysNothingNew(argument)) return true;
  if (argument == "fc_norm") return value.is_boolean();  // the weights have it or not
  return IsOffByDefault(argument) && value == false;
}

absl::Status SetModelArguments(const Json& arguments, vit::v1::ModelConfig* model) {
  if (!arguments.is_object()) return absl::OkStatus();
  for (const auto& [name, value] : arguments.items()) {
    if (ChangesNothing(name, value)) continue;
    if (name == "num_heads" && value.is_number_integer()) {
      model->set_num_heads(value.get<int>());
    } else if (name == "mlp_ratio" && value.is_number()) {
      model->set_mlp_ratio(value.get<double>());
    } else if (name == "init_values" && value.is_number()) {
      model->set_init_values(value.get<double>());
    } else if (name == "dynamic_img_size" && value.is_boolean()) {
      model->set_dynamic_image_size(value.get<bool>());
    } else if (name == "global_pool" && value.is_string()) {
      const std::string pool = value.get<std::string>();
      model->clear_global_pool();
      if (pool == "token") model->set_global_pool(vit::v1::GLOBAL_POOL_TOKEN);
      if (pool == "avg") model->set_global_pool(vit::v1::GLOBAL_POOL_AVG);
      if (pool == "max") model->set_global_pool(vit::v1::GLOBAL_POOL_MAX);
      if (!model->has_global_pool()) {
        return absl::InvalidArgumentError(
            absl::StrCat("global_pool '", pool, "' is not supported"));
      }
    } else if (name == "img_size") {
      if (const std::optional<int> side = Side(value)) model->set_image_size(*side);
    } else if (name == "act_layer" && value.is_string()) {
      VIT_RETURN_IF_ERROR(SetTimmActivation(value.get<std::string>(), model));
    } else if (name == "pos_embed" && value.is_string()) {
      const std::string kind = value.get<std::string>();
      if (kind.empty() || kind == "none") model->set_pos_embed(vit::v1::POSITION_EMBEDDING_NONE);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("model_args '", name, "' = ", value.dump(), " is not supported"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadTimm(const Json& json, PretrainedConfig* config) {
  if (Member(json, "architecture").is_string()) {
    VIT_RETURN_IF_ERROR(
        SetTimmArchitecture(json["architecture"].get<std::string>(), &config->model));
  }
  VIT_RETURN_IF_ERROR(SetModelArguments(Member(json, "model_args"), &config->model));
  if (!Member(json, "model_args").contains("global_pool") &&
      Member(json, "global_pool").is_string()) {
    VIT_RETURN_IF_ERROR(SetModelArguments({{"global_pool", json["global_pool"]}}, &config->model));
  }
  // Newer files keep these together, older ones side by side with the rest.
  const Json& cfg = Member(json, "pretrained_cfg").is_object() ? json["pretrained_cfg"] : json;
  // Weights without positions do not show it.
  const Json& input = Member(cfg, "input_size");
  if (!Member(json, "model_args").contains("img_size") && input.is_array() && input.size() == 3) {
    if (const std::optional<int> side = Side({input[1], input[2]})) {
      config->model.set_image_size(*side);
    }
  }
  SetNumbers(Member(cfg, "mean"), config->preprocessing.mutable_mean());
  SetNumbers(Member(cfg, "std"), config->preprocessing.mutable_std());
  if (Member(cfg, "interpolation").is_string()) {
    SetInterpolation(cfg["interpolation"].get<std::string>(), &config->preprocessing);
  }
  if (Member(cfg, "crop_pct").is_number()) {
    config->preprocessing.mutable_eval()->set_crop_pct(cfg["crop_pct"].get<double>());
  }
  for (const auto& [name, mode] :
       {std::pair{"center", vit::v1::CROP_MODE_CENTER}, {"squash", vit::v1::CROP_MODE_SQUASH}}) {
    if (Member(cfg, "crop_mode") == name) config->preprocessing.mutable_eval()->set_crop_mode(mode);
  }
  const Json& labels =
      Member(json, "label_names").is_array() ? json["label_names"] : Member(cfg, "label_names");
  if (labels.is_array() && labels.size() <= kMaxLabels) {
    for (const Json& label : labels) {
      if (label.is_string()) config->labels.push_back(label.get<std::string>());
    }
  }
  return absl::OkStatus();
}

// transformers' models that compute what vitd does.
absl::Status CheckModelType(const Json& json) {
  const std::string type =
      json["model_type"].is_string() ? json["model_type"].get<std::string>() : "";
  for (const char* known :
       {"vit", "deit", "dinov2", "dinov2_with_registers", "vit_mae", "vit_msn"}) {
    if (type == known) return absl::OkStatus();
  }
  constexpr std::pair<const char*, const char*> kOthers[] = {
      {"beit", "relative position bias and separate biases of query and value"},
      {"data2vec-vision", "relative position bias and separate biases of query and value"},
      {"dinov3_vit", "rotary positions"},
      {"siglip", "attention pooling"},
      {"siglip2", "attention pooling"},
      {"siglip_vision_model", "attention pooling"},
      {"siglip2_vision_model", "attention pooling"},
      {"ijepa", "no class token and the mean of all tokens"},
      {"clip", "other names and a norm in front"},
      {"clip_vision_model", "other names and a norm in front"},
  };
  for (const auto& [other, what] : kOthers) {
    if (type == other) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model_type '", type, "' is another model: it has ", what, ", which vitd does not have"));
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "model_type '", type,
      "' is not supported; vit, deit, dinov2, dinov2_with_registers, vit_mae and vit_msn are"));
}

absl::Status SetHiddenAct(const std::string& name, vit::v1::ModelConfig* model) {
  constexpr std::pair<const char*, vit::v1::Activation> kKnown[] = {
      {"gelu", vit::v1::ACTIVATION_GELU},
      {"gelu_python", vit::v1::ACTIVATION_GELU},
      {"gelu_pytorch_tanh", vit::v1::ACTIVATION_GELU_TANH},
      {"gelu_python_tanh", vit::v1::ACTIVATION_GELU_TANH},
      {"gelu_new", vit::v1::ACTIVATION_GELU_TANH},
      {"gelu_fast", vit::v1::ACTIVATION_GELU_TANH},
      {"gelu_accurate", vit::v1::ACTIVATION_GELU_TANH},
      {"quick_gelu", vit::v1::ACTIVATION_QUICK_GELU},
  };
  for (const auto& [known, activation] : kKnown) {
    if (name != known) continue;
    model->set_activation(activation);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "hidden_act '", name, "' is not supported; expected gelu, gelu_pytorch_tanh or quick_gelu"));
}

absl::Status ReadHuggingFace(const Json& json, PretrainedConfig* config) {
  VIT_RETURN_IF_ERROR(CheckModelType(json));
  if (Member(json, "use_swiglu_ffn") == true) {
    return absl::InvalidArgumentError(
        "the model has SwiGLU (use_swiglu_ffn), which vitd does not have");
  }
  if (Member(json, "num_attention_heads").is_number_integer()) {
    config->model.set_num_heads(json["num_attention_heads"].get<int>());
  }
  if (Member(json, "layer_norm_eps").is_number()) {
    config->model.set_layer_norm_eps(json["layer_norm_eps"].get<double>());
  }
  if (const auto side = Side(Member(json, "image_size"))) config->model.set_image_size(*side);
  const Json& activation = Member(json, "hidden_act");
  if (!activation.is_null() && !activation.is_string()) {
    return absl::InvalidArgumentError(absl::StrCat("hidden_act is ", activation.dump()));
  }
  VIT_RETURN_IF_ERROR(SetHiddenAct(activation.is_string() ? activation.get<std::string>() : "gelu",
                                   &config->model));
  const Json& labels = Member(json, "id2label");
  if (labels.is_object() && labels.size() <= kMaxLabels) {
    config->labels.resize(labels.size());
    for (const auto& [key, label] : labels.items()) {
      int index;
      if (!absl::SimpleAtoi(key, &index) || index < 0 || index >= static_cast<int>(labels.size()) ||
          !label.is_string()) {
        return absl::InvalidArgumentError(
            absl::StrCat("id2label '", key, "' is not one of the ", labels.size(), " classes"));
      }
      config->labels[index] = label.get<std::string>();
    }
  }
  return absl::OkStatus();
}

// Reads Hugging Face's image processor.
void ReadProcessor(const Json& json, vit::v1::DataConfig* data) {
  SetNumbers(Member(json, "image_mean"), data->mutable_mean());
  SetNumbers(Member(json, "image_std"), data->mutable_std());
  const Json& resample = Member(json, "resample");  // Pillow's numbers
  if (resample.is_number_integer()) {
    SetInterpolation(resample == 2 ? "bilinear" : resample == 3 ? "bicubic" : "", data);
  }
  // The whole image goes in, unless a crop follows.
  double crop_pct = 1;
  const Json& size = Member(json, "size");
  const Json& crop = Member(json, "crop_size");
  data->mutable_eval()->set_crop_mode(size.contains("shortest_edge") ? vit::v1::CROP_MODE_CENTER
                                                                     : vit::v1::CROP_MODE_SQUASH);
  const auto side_of = [](const Json& json) {
    for (const char* name : {"shortest_edge", "height"}) {
      if (Member(json, name).is_number()) return Member(json, name).get<double>();
    }
    return json.is_number() ? json.get<double>() : 0.0;
  };
  if (Member(json, "do_center_crop") == true && side_of(size) > 0 && side_of(crop) > 0) {
    crop_pct = std::min(1.0, side_of(crop) / side_of(size));
  }
  data->mutable_eval()->set_crop_pct(crop_pct);
}

// Reads the arguments of torchvision's VisionTransformer that weights do not show, as the
// torchvision export writes them.
absl::Status ReadTorchvision(const Json& json, PretrainedConfig* config) {
  const Json& heads = Member(json["torchvision"], "num_heads");
  if (heads.is_number_integer()) config->model.set_num_heads(heads.get<int>());
  config->model.set_activation(vit::v1::ACTIVATION_GELU);
  return ReadTimm({{"pretrained_cfg", Member(json, "pretrained_cfg")}}, config);
}

absl::Status ReadOwn(const Json& own, PretrainedConfig* config) {
  VIT_RETURN_IF_ERROR(MessageFromJson(Member(own, "model").dump(), &config->model));
  if (Member(own, "precision").is_string()) {
    vit::v1::Precision_Parse(own["precision"].get<std::string>(), &config->precision);
  }
  return MessageFromJson(Member(own, "preprocessing").dump(), &config->preprocessing);
}

absl::Status ReadConfig(const fs::path& path, PretrainedConfig* config) {
  VIT_ASSIGN_OR_RETURN(const Json json, ReadJson(path));
  if (Member(json, "vitd").is_object()) {
    return Annotate(ReadOwn(json["vitd"], config), path.string());
  }
  const bool hugging_face = json.contains("model_type") && !json.contains("architecture");
  const auto read = hugging_face                              ? ReadHuggingFace
                    : Member(json, "torchvision").is_object() ? ReadTorchvision
                                                              : ReadTimm;
  return Annotate(read(json, config), path.string());
}

}  // namespace

absl::StatusOr<PretrainedConfig> ReadPretrainedConfig(const fs::path& directory,
                                                      absl::Span<const std::string> data_roots) {
  return CatchExceptions(
      absl::StrCat("read ", directory.string()), [&]() -> absl::StatusOr<PretrainedConfig> {
        PretrainedConfig config;
        // Reads a file if it exists.
        const auto with = [&](const char* name, auto read) -> absl::Status {
          const absl::StatusOr<fs::path> path = ResolveInside(directory, name, data_roots);
          if (absl::IsNotFound(path.status())) return absl::OkStatus();
          return path.ok() ? read(*path) : path.status();
        };
        VIT_RETURN_IF_ERROR(
            with("config.json", [&](const fs::path& path) { return ReadConfig(path, &config); }));
        VIT_RETURN_IF_ERROR(
            with("preprocessor_config.json", [&](const fs::path& path) -> absl::Status {
              VIT_ASSIGN_OR_RETURN(const Json processor, ReadJson(path));
              ReadProcessor(processor, &config.preprocessing);
              return absl::OkStatus();
            }));
        VIT_RETURN_IF_ERROR(with("labels.txt", [&](const fs::path& path) -> absl::Status {
          VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
          config.labels = ParseLabelLines(text);
          return absl::OkStatus();
        }));
        return config;
      });
}

}  // namespace vit
