// A model as ONNX, for runtimes other than LibTorch.
#ifndef VIT_CORE_WEIGHTS_EXPORT_ONNX_MODEL_H_
#define VIT_CORE_WEIGHTS_EXPORT_ONNX_MODEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"
#include "core/weights/model_directory.h"

namespace vit {

// Protobuf's limit is 2 GiB; the rest of it is for the graph and its metadata.
inline constexpr int64_t kMaxInlineOnnxBytes = int64_t{2000} << 20;

// Writes model.onnx (opset 17) into `directory`, fsynced: the model in evaluation mode, in float32.
// Its input "images" is [batch, C, S, S], preprocessed images, its output "logits" is [batch, K];
// any batch works, but S is image_size even if the model has dynamic_image_size.
//
// Initializers carry timm's parameter names. The weights of linear maps are stored as MatMul takes
// them, [in, out], which is timm's transposed. If all weights together are larger than
// `max_inline_bytes`, the large ones go to model.onnx.data, which belongs beside model.onnx.
//
// `tensors` holds exactly the model's; INVALID_ARGUMENT names those that are missing or of another
// shape. `metadata` becomes metadata_props.
absl::Status WriteOnnx(const std::filesystem::path& directory, const TensorMap& tensors,
                       const ModelDescription& description,
                       const std::map<std::string, std::string>& metadata,
                       int64_t max_inline_bytes = kMaxInlineOnnxBytes);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPORT_ONNX_MODEL_H_
