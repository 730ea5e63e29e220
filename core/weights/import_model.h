// Weights and models of other programs, understood as ours. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_IMPORT_MODEL_H_
#define VIT_CORE_WEIGHTS_IMPORT_MODEL_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/weights/model_directory.h"
#include "core/weights/weight_layout.h"

namespace vit {

// Reads `path`: a file in one of ReadTensorFile's formats, or a folder with one of the usual names
// (model.safetensors, pytorch_model.bin, ...), and brings it into timm's layout. Statuses as those
// of ReadTensorFile and ToTimmLayout; NOT_FOUND for a folder without weights.
absl::StatusOr<TimmWeights> ReadWeights(const std::filesystem::path& path);

struct ImportOptions {
  // What the file does not tell. Where weights or config.json say otherwise, these win; a shape
  // that contradicts them is INVALID_ARGUMENT.
  vit::v1::ModelConfig model;
  vit::v1::DataConfig preprocessing;
  std::vector<std::string> labels;  // in the head's order; empty for the folder's own, else numbers
};

struct ImportedModel {
  std::map<std::string, at::Tensor> tensors;  // all of the model's, and no other
  ModelDescription description;
  std::string layout;              // TimmWeights::layout
  std::vector<std::string> notes;  // what was assumed or not used, for people
};

// A model, complete enough to classify. Statuses as those of ReadWeights, ReadPretrainedConfig,
// InferModelConfig and CheckWeightsFit.
absl::StatusOr<ImportedModel> ImportModel(const std::filesystem::path& path,
                                          const ImportOptions& options);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_IMPORT_MODEL_H_
