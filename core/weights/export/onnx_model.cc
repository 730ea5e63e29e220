#include "core/weights/export/onnx_model.h"

#include <torch/torch.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/compute/named_tensors.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/model/vision_transformer.h"
#include "core/weights/export/onnx_forward.h"
#include "core/weights/export/onnx_graph.h"
#include "core/weights/load_weights.h"

namespace vit {
namespace {

std::string ImagesDoc(const vit::v1::DataConfig& preprocessing) {
  return absl::StrCat("RGB images, scaled to 0..1, less mean ",
                      absl::StrJoin(preprocessing.mean(), " "), ", divided by std ",
                      absl::StrJoin(preprocessing.std(), " "), ", channel by channel");
}

}  // namespace

absl::Status WriteOnnx(const std::filesystem::path& directory, const TensorMap& tensors,
                       const ModelDescription& description,
                       const std::map<std::string, std::string>& metadata,
                       int64_t max_inline_bytes) {
  return CatchExceptions("write model.onnx", [&]() -> absl::Status {
    const vit::v1::ModelConfig& config = description.model;
    VIT_RETURN_IF_ERROR(ValidateModelConfig(config));
    const VisionTransformer module(config);  // for its names and shapes alone
    VIT_RETURN_IF_ERROR(CheckWeightsFit(tensors, *module));
    int64_t bytes = 0;
    for (const auto& [name, tensor] : tensors) bytes += tensor.numel() * sizeof(float);
    OnnxGraph graph(/*external=*/bytes > max_inline_bytes);

    onnx::ModelProto& model = graph.model();
    model.set_producer_name("vitd");
    model.set_producer_version(VIT_VERSION);
    model.set_doc_string(
        "A Vision Transformer. Initializers carry timm's names; the weights of "
        "linear maps are transposed, [in, out].");
    for (const auto& [key, value] : metadata) {
      onnx::StringStringEntryProto* const entry = model.add_metadata_props();
      entry->set_key(key);
      entry->set_value(value);
    }
    model.mutable_graph()->set_name("vision_transformer");
    const int64_t size = config.image_size();
    const std::string images = graph.AddInput("images", {config.in_channels(), size, size},
                                              ImagesDoc(description.preprocessing));
    const bool encoder = config.num_classes() == 0;
    const std::string output = encoder ? "features" : "logits";
    graph.AddOutput(output, {encoder ? PooledFeatures(config) : config.num_classes()},
                    encoder ? "pooled features" : "one value for each class, in labels' order");
    AddForward(config, tensors, images, output, &graph);
    return graph.Write(directory);
  });
}

}  // namespace vit
