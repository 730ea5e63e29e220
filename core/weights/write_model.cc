#include "core/weights/write_model.h"

#include <torch/torch.h>

#include <utility>
#include <vector>

#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/safetensors.h"

namespace vit {

absl::Status WriteModel(const std::filesystem::path& directory, const TensorMap& tensors,
                        const ModelDescription& description) {
  return CatchExceptions("write model", [&]() -> absl::Status {
    const VisionTransformer model(description.model);  // for its order alone
    NamedTensors ordered;
    for (const auto& [name, own] : StateDict(*model)) {
      ordered.emplace_back(name, tensors.at(name).to(own.scalar_type()));
    }
    VIT_RETURN_IF_ERROR(
        WriteSafetensors(directory / "model.safetensors", ordered, {{"format", "pt"}}));
    return WriteModelDescription(directory, description);
  });
}

}  // namespace vit
