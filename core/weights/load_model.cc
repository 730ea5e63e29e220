#include "core/weights/load_model.h"

#include <torch/torch.h>

#include "absl/strings/str_cat.h"
#include "core/base/compute/torch_device.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/tensor_file/safetensors.h"
#include "core/weights/load_weights.h"

namespace vit {

absl::StatusOr<LoadedModel> LoadModel(const std::filesystem::path& directory, c10::Device device) {
  LoadedModel loaded;
  VIT_ASSIGN_OR_RETURN(loaded.description, ReadModelDescription(directory));
  if (const absl::Status status = ValidateModelConfig(loaded.description.model); !status.ok()) {
    return absl::DataLossError(
        absl::StrCat((directory / kConfigFile).string(), ": ", status.message()));
  }
  VIT_ASSIGN_OR_RETURN(const TensorFile weights, ReadSafetensors(directory / kWeightsFile));
  loaded.model = VisionTransformer(loaded.description.model);
  VIT_RETURN_IF_ERROR(Annotate(LoadWeights(weights.tensors, *loaded.model), directory.string()));
  loaded.model->to(device);
  loaded.model->eval();
  for (at::Tensor& parameter : loaded.model->parameters()) parameter.set_requires_grad(false);
  AwaitDevice(device);  // the weights are in pages of the file
  return loaded;
}

}  // namespace vit
