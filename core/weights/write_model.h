// Writes a whole model directory.
#ifndef VIT_CORE_WEIGHTS_WRITE_MODEL_H_
#define VIT_CORE_WEIGHTS_WRITE_MODEL_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"
#include "core/weights/model_directory.h"

namespace vit {

// Writes model.safetensors (in the model's own order, floating point values as float32),
// config.json and labels.txt into `directory`, fsynced. `tensors` holds all of the model's.
absl::Status WriteModel(const std::filesystem::path& directory, const TensorMap& tensors,
                        const ModelDescription& description);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_WRITE_MODEL_H_
