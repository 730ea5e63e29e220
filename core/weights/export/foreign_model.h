// Model directories of other programs.
#ifndef VIT_CORE_WEIGHTS_EXPORT_FOREIGN_MODEL_H_
#define VIT_CORE_WEIGHTS_EXPORT_FOREIGN_MODEL_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"
#include "core/weights/model_directory.h"

namespace vit {

// These write a directory that the other program loads, fsynced. `tensors` holds all of the
// model's, by timm's names. The provenance is in config.json, under "exported_from".
// FAILED_PRECONDITION as CheckExpressible's.

// For from_pretrained of ViTForImageClassification; with a distillation token, of
// DeiTForImageClassificationWithTeacher; with one register that has a position, of
// DeiTForImageClassification; with GLOBAL_POOL_TOKEN_AND_AVG, of Dinov2ForImageClassification or
// Dinov2WithRegistersForImageClassification: model.safetensors, config.json,
// preprocessor_config.json.
absl::Status WriteHuggingFace(const std::filesystem::path& directory, const TensorMap& tensors,
                              const ModelDescription& description, const Provenance& provenance);

// For torchvision.models.VisionTransformer: model.pth, its state dict; config.json, with the
// constructor's arguments under "torchvision", those of transforms._presets.ImageClassification
// under "transforms", and preprocessing in timm's form; labels.txt.
absl::Status WriteTorchvision(const std::filesystem::path& directory, const TensorMap& tensors,
                              const ModelDescription& description, const Provenance& provenance);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPORT_FOREIGN_MODEL_H_
