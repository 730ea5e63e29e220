#include "core/weights/import_model.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/tensor_file.h"
#include "core/weights/fit_weights.h"
#include "core/weights/infer_config.h"
#include "core/weights/layouts/foreign_parts.h"
#include "core/weights/load_weights.h"
#include "core/weights/pretrained_config.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

// The usual names of weights in a folder; the first that exists wins.
constexpr const char* kWeightFiles[] = {"model.safetensors", "model.safetensors.index.json",
                                        "pytorch_model.bin", "pytorch_model.bin.index.json",
                                        "model.pth"};

// Returns the file under its name in the folder, because an index looks for its shards beside it.
absl::StatusOr<fs::path> WeightFile(const fs::path& path,
                                    absl::Span<const std::string> data_roots) {
  if (!fs::is_directory(path)) return path;
  for (const char* name : kWeightFiles) {
    const absl::Status found = ResolveInside(path, name, data_roots).status();
    if (found.ok()) return path / name;
    if (!absl::IsNotFound(found)) return found;
  }
  return absl::NotFoundError(absl::StrCat(path.string(), " holds no weights; expected ",
                                          absl::StrJoin(kWeightFiles, ", ")));
}

// Fills in what the layout's makers use if nothing is given.
void AssumePreprocessing(const std::string& layout, vit::v1::DataConfig* data,
                         std::vector<std::string>* notes) {
  const bool torchvision = layout == "torchvision";
  std::vector<std::string> assumed;
  if (data->mean().empty() || data->std().empty()) {
    // torchvision's are ImageNet's; 0.5 is for Google's weights and timm's copies of them.
    const std::vector<double> mean =
        torchvision ? std::vector<double>{0.485, 0.456, 0.406} : std::vector<double>{0.5, 0.5, 0.5};
    const std::vector<double> std = torchvision ? std::vector<double>{0.229, 0.224, 0.225} : mean;
    data->mutable_mean()->Assign(mean.begin(), mean.end());
    data->mutable_std()->Assign(std.begin(), std.end());
    assumed.push_back(
        absl::StrCat("mean ", absl::StrJoin(mean, " "), ", std ", absl::StrJoin(std, " ")));
  }
  if (!data->has_interpolation()) {
    data->set_interpolation(torchvision ? vit::v1::INTERPOLATION_BILINEAR
                                        : vit::v1::INTERPOLATION_BICUBIC);
    assumed.push_back(torchvision ? "bilinear resizing" : "bicubic resizing");
  }
  if (!data->eval().has_crop_pct()) {
    data->mutable_eval()->set_crop_pct(torchvision ? 0.875 : 0.9);
    assumed.push_back(absl::StrCat("crop_pct ", data->eval().crop_pct()));
  }
  if (!data->has_apply_orientation()) data->set_apply_orientation(true);
  if (!assumed.empty()) {
    notes->push_back(
        absl::StrCat("assumed, as the file does not say: ", absl::StrJoin(assumed, ", ")));
  }
}

void MergePreprocessing(const vit::v1::DataConfig& given, vit::v1::DataConfig* data) {
  if (!given.mean().empty()) *data->mutable_mean() = given.mean();
  if (!given.std().empty()) *data->mutable_std() = given.std();
  if (given.has_interpolation()) data->set_interpolation(given.interpolation());
  data->mutable_eval()->MergeFrom(given.eval());
  if (given.has_apply_orientation()) data->set_apply_orientation(given.apply_orientation());
}

// INVALID_ARGUMENT if the weights' shapes contradict a field of `given`.
absl::Status CheckAgainst(const vit::v1::ModelConfig& given, const vit::v1::ModelConfig& inferred) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  given.GetReflection()->ListFields(given, &fields);
  for (const auto* field : fields) {
    std::string wanted, found;
    google::protobuf::TextFormat::PrintFieldValueToString(given, field, -1, &wanted);
    google::protobuf::TextFormat::PrintFieldValueToString(inferred, field, -1, &found);
    if (wanted != found) {
      return absl::InvalidArgumentError(absl::StrCat("model.", field->name(), " is given as ",
                                                     wanted, ", but the weights have ", found));
    }
  }
  return absl::OkStatus();
}

absl::Status SetLabels(std::vector<std::string> given, std::vector<std::string> own,
                       int num_classes, ImportedModel* model) {
  std::vector<std::string>& labels = model->description.labels;
  if (num_classes == 0) {
    if (given.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "there are ", given.size(), " labels, but the weights are an encoder without a head"));
  }
  labels = given.empty() ? std::move(own) : std::move(given);
  if (labels.empty()) {
    for (int i = 0; i < num_classes; ++i) labels.push_back(absl::StrCat(i));
    model->notes.push_back("no labels; the classes are named by their numbers");
  }
  if (static_cast<int>(labels.size()) != num_classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are ", labels.size(), " labels for the head's ", num_classes, " classes"));
  }
  return absl::OkStatus();
}

// Notes what was assumed about the model's formula because the weights do not show it.
void NoteAssumptions(const vit::v1::ModelConfig& known, const vit::v1::ModelConfig& inferred,
                     std::vector<std::string>* notes) {
  if (!known.has_num_heads() && !inferred.qk_norm()) {
    notes->push_back(absl::StrCat("assumed ", inferred.num_heads(),
                                  " heads, as is usual for a width of ", inferred.embed_dim()));
  }
  if (!known.has_activation()) {
    notes->push_back(
        "assumed exact GELU, as the file does not say; set another with "
        "model.activation=gelu_tanh or quick_gelu");
  }
  if (inferred.num_classes() == 0) {
    notes->push_back("there is no head: the model embeds images but does not classify them");
  }
}

// Takes the model's tensors from those of the file.
absl::Status TakeTensors(TensorMap tensors, ImportedModel* model) {
  const vit::v1::ModelConfig& config = model->description.model;
  const VisionTransformer module(config);  // allocated, never touched
  std::set<std::string> own;
  for (const auto& [name, tensor] : StateDict(*module)) own.insert(name);
  std::vector<std::string> unused, foreign;
  for (auto& [name, tensor] : tensors) {
    if (own.contains(name)) {
      model->tensors.emplace(name, tensor);
      continue;
    }
    unused.push_back(name);
    // transformers' encoders have a layer after the class token that features do not need.
    if (config.num_classes() > 0 || !absl::StartsWith(name, "pooler.dense.")) {
      foreign.push_back(name);
    }
  }
  VIT_RETURN_IF_ERROR(CheckUnused(foreign));
  if (!unused.empty()) {
    model->notes.push_back(absl::StrCat("not used: ", absl::StrJoin(unused, ", ")));
  }
  VIT_RETURN_IF_ERROR(CheckWeightsFit(model->tensors, *module));
  return CheckFinite(model->tensors);
}

absl::StatusOr<ImportedModel> Import(const fs::path& path, const ImportOptions& options) {
  ImportedModel model;
  PretrainedConfig config;  // first: it may name parts that vitd does not have
  if (fs::is_directory(path)) {
    VIT_ASSIGN_OR_RETURN(config, ReadPretrainedConfig(path, options.data_roots));
  }
  VIT_ASSIGN_OR_RETURN(FileWeights file, ReadWeights(path, options.choice, options.data_roots));
  TimmWeights& weights = file.timm;
  model.layout = weights.layout;
  model.prefix = file.prefix;
  model.choice = file.choice;
  model.notes = std::move(file.notes);
  if (const std::string other = FindOtherHead(weights.tensors); !other.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the head '", other,
                     "' is not supported: expected one linear layer called head, classifier or "
                     "linear_head ('head.weight' [classes, features]); save it like that, or leave "
                     "it out and import the encoder alone"));
  }
  KeepDistillationToken(&weights.tensors);
  vit::v1::ModelConfig known = weights.config;
  known.MergeFrom(config.model);
  known.MergeFrom(options.model);
  VIT_ASSIGN_OR_RETURN(model.description.model, InferModelConfig(weights.tensors, known));
  const vit::v1::ModelConfig& inferred = model.description.model;
  VIT_RETURN_IF_ERROR(CheckAgainst(options.model, inferred));
  NoteAssumptions(known, inferred, &model.notes);
  model.description.preprocessing = config.preprocessing;
  MergePreprocessing(options.preprocessing, &model.description.preprocessing);
  AssumePreprocessing(model.layout, &model.description.preprocessing, &model.notes);
  if (model.description.preprocessing.eval().has_image_size()) {
    VIT_RETURN_IF_ERROR(CheckInputSize(
        inferred, model.description.preprocessing.eval().image_size(), "data.eval.image_size"));
  }
  if (config.precision != vit::v1::PRECISION_UNSPECIFIED) {
    model.description.precision = config.precision;
  }
  VIT_RETURN_IF_ERROR(
      SetLabels(options.labels, std::move(config.labels), inferred.num_classes(), &model));
  VIT_RETURN_IF_ERROR(TakeTensors(std::move(weights.tensors), &model));
  return model;
}

}  // namespace

absl::StatusOr<FileWeights> ReadWeights(const fs::path& path, const WeightChoice& choice,
                                        absl::Span<const std::string> data_roots) {
  return CatchExceptions("read weights", [&]() -> absl::StatusOr<FileWeights> {
    VIT_ASSIGN_OR_RETURN(const fs::path file, WeightFile(path, data_roots));
    VIT_ASSIGN_OR_RETURN(const TensorFile tensors, ReadTensorFile(file, data_roots));
    absl::StatusOr<ChosenWeights> chosen = ChooseWeights(tensors, choice);
    if (!chosen.ok()) return Annotate(chosen.status(), file.string());
    absl::StatusOr<TimmWeights> weights = ToTimmLayout(chosen->tensors);
    if (!weights.ok()) return Annotate(weights.status(), file.string());
    return FileWeights{.timm = *std::move(weights),
                       .prefix = std::move(chosen->prefix),
                       .choice = chosen->weights,
                       .notes = std::move(chosen->notes)};
  });
}

absl::StatusOr<ImportedModel> ImportModel(const fs::path& path, const ImportOptions& options) {
  return CatchExceptions("import", [&]() -> absl::StatusOr<ImportedModel> {
    absl::StatusOr<ImportedModel> model = Import(path, options);
    // Some messages name the file already.
    if (!model.ok() && !absl::StrContains(model.status().message(), path.string())) {
      return Annotate(model.status(), path.string());
    }
    return model;
  });
}

}  // namespace vit
