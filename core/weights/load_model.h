// Loads a model directory into memory, ready for inference.
#ifndef VIT_CORE_WEIGHTS_LOAD_MODEL_H_
#define VIT_CORE_WEIGHTS_LOAD_MODEL_H_

#include <c10/core/Device.h>

#include <filesystem>

#include "absl/status/statusor.h"
#include "core/model/vision_transformer.h"
#include "core/weights/model_directory.h"

namespace vit {

struct LoadedModel {
  ModelDescription description;
  VisionTransformer model = nullptr;  // in evaluation mode, without gradients
};

// Reads `directory` and puts the model onto `device`, on the current stream; waits until it is
// there. Statuses of ReadModelDescription, ReadSafetensors and LoadWeights; DATA_LOSS for a
// description that no model can have. The caller verifies checksums (VerifyChecksums of
// ModelFiles). LibTorch may throw (out of memory).
absl::StatusOr<LoadedModel> LoadModel(const std::filesystem::path& directory, c10::Device device);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LOAD_MODEL_H_
