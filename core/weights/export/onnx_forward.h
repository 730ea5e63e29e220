// VisionTransformer's forward in evaluation mode, as ONNX nodes.
#ifndef VIT_CORE_WEIGHTS_EXPORT_ONNX_FORWARD_H_
#define VIT_CORE_WEIGHTS_EXPORT_ONNX_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "core/base/compute/named_tensors.h"
#include "core/weights/export/onnx_graph.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Adds the nodes from `images` [B, C, S, S] to `logits` [B, K] (the pooled features if there is no
// head), both values of the graph, and as initializers the `tensors` that they need. `config` is
// effective and valid, and `tensors` fits it.
void AddForward(const vit::v1::ModelConfig& config, const TensorMap& tensors,
                const std::string& images, const std::string& logits, OnnxGraph* graph);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPORT_ONNX_FORWARD_H_
