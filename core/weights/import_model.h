// Reads weights and models of other programs as ours.
#ifndef VIT_CORE_WEIGHTS_IMPORT_MODEL_H_
#define VIT_CORE_WEIGHTS_IMPORT_MODEL_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/compute/named_tensors.h"
#include "core/weights/choose_weights.h"
#include "core/weights/layouts/weight_layout.h"
#include "core/weights/model_directory.h"

namespace vit {

// The contents of a weights file.
struct FileWeights {
  TimmWeights timm;
  // As ChosenWeights has them.
  std::string prefix;
  vit::v1::WeightsChoice choice = vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;
  std::vector<std::string> notes;
};

// Reads `path`: a file in one of ReadTensorFile's formats, or a folder with one of the usual names
// (model.safetensors, pytorch_model.bin, ...), takes what `choice` selects and converts it to
// timm's layout. Links may only lead into the folder or under one of `data_roots`. Statuses as
// those of ReadTensorFile, ChooseWeights and ToTimmLayout; NOT_FOUND for a folder without weights.
absl::StatusOr<FileWeights> ReadWeights(const std::filesystem::path& path,
                                        const WeightChoice& choice = {},
                                        absl::Span<const std::string> data_roots = {});

struct ImportOptions {
  // What the file does not say. These override what weights or config.json say; a shape that
  // contradicts them is INVALID_ARGUMENT.
  vit::v1::ModelConfig model;
  vit::v1::DataConfig preprocessing;
  std::vector<std::string> labels;  // in the head's order; empty for the folder's own, else numbers
  WeightChoice choice;
  std::vector<std::string> data_roots;  // as for ReadWeights
};

struct ImportedModel {
  TensorMap tensors;  // exactly the model's
  ModelDescription description;
  std::string layout;  // TimmWeights::layout
  std::string prefix;  // as FileWeights
  vit::v1::WeightsChoice choice = vit::v1::WEIGHTS_CHOICE_UNSPECIFIED;
  std::vector<std::string> notes;  // what was taken, assumed or not used, for people
};

// Imports a model, complete enough to classify or, without a head (num_classes 0, no labels), to
// embed. Statuses as those of ReadWeights, ReadPretrainedConfig, InferModelConfig, CheckUnused,
// CheckWeightsFit and CheckFinite.
absl::StatusOr<ImportedModel> ImportModel(const std::filesystem::path& path,
                                          const ImportOptions& options);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_IMPORT_MODEL_H_
