#include "client/vitctl/view/model_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"

namespace vit {
namespace {

// The maximum number of labels in one line.
constexpr int kShownLabels = 8;

std::string LabelText(const vit::v1::ModelVersion& model) {
  std::string text;
  for (int i = 0; i < std::min(kShownLabels, model.labels_size()); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", Printable(model.labels(i)));
  }
  if (model.labels_size() > kShownLabels) {
    absl::StrAppend(&text, " and ", model.labels_size() - kShownLabels, " more");
  }
  return text;
}

}  // namespace

std::string ModelName(const vit::v1::ModelVersion& model) {
  return absl::StrCat(Printable(model.name()), "@", model.version());
}

std::string IdentityText(const vit::v1::ModelIdentity& model) {
  if (model.version() == 0) {
    return absl::StrCat(Printable(model.model()), ", step ", FormatCount(model.step()));
  }
  return absl::StrCat(Printable(model.model()), ", version ", model.version());
}

std::string PrecisionText(const vit::v1::ModelVersion& model) {
  return model.precision() == vit::v1::PRECISION_BFLOAT16 ? "bfloat16" : "float32";
}

std::vector<std::pair<std::string, Table::Cell>> ModelFields(const vit::v1::ModelVersion& model) {
  const vit::v1::ModelConfig& config = model.model();
  const vit::v1::DataConfig& data = model.preprocessing();
  std::vector<std::pair<std::string, Table::Cell>> fields = {
      {"model", Table::Cell(ModelName(model), Style::kBold)},
      {"origin", Printable(model.origin())},
      {"source", Printable(model.source())},
      {"created", FormatDateTime(FromProto(model.create_time()))}};
  if (!model.prefix().empty()) fields.emplace_back("prefix", Printable(model.prefix()));
  if (model.weights() != vit::v1::WEIGHTS_CHOICE_UNSPECIFIED) {
    fields.emplace_back("weights",
                        model.weights() == vit::v1::WEIGHTS_CHOICE_AVERAGED ? "averaged" : "raw");
  }
  if (model.has_accuracy()) {
    fields.emplace_back(
        "validation",
        absl::StrCat(FormatPercent(model.accuracy()), " accuracy",
                     model.has_loss() ? absl::StrCat(", loss ", FormatLoss(model.loss())) : ""));
  }
  fields.emplace_back("network",
                      absl::StrCat(FormatLarge(model.parameter_count()), " parameters: width ",
                                   config.embed_dim(), ", depth ", config.depth(), ", ",
                                   config.num_heads(), " heads, patch ", config.patch_size()));
  fields.emplace_back(
      "input",
      absl::StrCat(config.image_size(), " px, ",
                   data.interpolation() == vit::v1::INTERPOLATION_BILINEAR ? "bilinear" : "bicubic",
                   " at crop_pct ", data.eval().crop_pct(), ", mean ",
                   absl::StrJoin(data.mean(), " "), ", std ", absl::StrJoin(data.std(), " ")));
  fields.emplace_back(
      "classes", config.num_classes() == 0
                     ? "none: an encoder without a head, which embeds images"
                     : absl::StrCat(FormatCount(config.num_classes()), ": ", LabelText(model)));
  fields.emplace_back("precision", PrecisionText(model));
  fields.emplace_back("size", FormatBytes(model.size_bytes()));
  fields.emplace_back("loaded", model.loaded() ? "yes" : "no");
  return fields;
}

}  // namespace vit
