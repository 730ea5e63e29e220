// A model directory: model.safetensors (timm's names), config.json (timm loads it through
// local-dir:), labels.txt.
#ifndef VIT_CORE_WEIGHTS_MODEL_DIRECTORY_H_
#define VIT_CORE_WEIGHTS_MODEL_DIRECTORY_H_

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vit/v1/data.pb.h"
#include "vit/v1/model.pb.h"
#include "vit/v1/training.pb.h"

namespace vit {

// The files of a model directory.
inline constexpr char kWeightsFile[] = "model.safetensors";
inline constexpr char kConfigFile[] = "config.json";
inline constexpr char kLabelsFile[] = "labels.txt";
// All three.
const std::vector<std::string>& ModelFiles();

// What goes with the weights: enough to classify an image.
struct ModelDescription {
  vit::v1::ModelConfig model;  // effective
  // Preprocessing: mean, std, interpolation, eval.crop_pct and apply_orientation are set.
  vit::v1::DataConfig preprocessing;
  // The precision of evaluation and serving.
  vit::v1::Precision precision = vit::v1::PRECISION_FLOAT32;
  std::vector<std::string> labels;  // in the head's order; none if there is no head
};

// What an export says about where the model comes from: "model", "origin", "accuracy" and so on.
using Provenance = std::map<std::string, std::string>;

// labels.txt: one line per label.
std::string LabelLines(const std::vector<std::string>& labels);
std::vector<std::string> ParseLabelLines(const std::string& text);

// Writes config.json, with the provenance under "exported_from" if there is one, and labels.txt
// into `directory`, fsynced. The caller writes model.safetensors.
absl::Status WriteModelDescription(const std::filesystem::path& directory,
                                   const ModelDescription& description,
                                   const Provenance& provenance = {});

// NOT_FOUND for a missing file, DATA_LOSS for one that cannot be parsed; names the file.
absl::StatusOr<ModelDescription> ReadModelDescription(const std::filesystem::path& directory);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_MODEL_DIRECTORY_H_
