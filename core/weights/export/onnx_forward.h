// VisionTransformer's forward in evaluation mode, as ONNX nodes. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_EXPORT_ONNX_FORWARD_H_
#define VIT_CORE_WEIGHTS_EXPORT_ONNX_FORWARD_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "core/weights/export/onnx_graph.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Adds the nodes from `images` [B, C, S, S] to `logits` [B, K] (the pooled features where there
// is no head), both values of the graph, and as initializers those of `tensors` that they need.
// `config` is effective and valid, and `tensors` fits it.
void AddForward(const vit::v1::ModelConfig& config,
                const std::map<std::string, at::Tensor>& tensors, const std::string& images,
                const std::string& logits, OnnxGraph* graph);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPORT_ONNX_FORWARD_H_
