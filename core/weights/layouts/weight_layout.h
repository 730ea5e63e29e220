// The names and shapes that other programs give a Vision Transformer's weights.
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_WEIGHT_LAYOUT_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_WEIGHT_LAYOUT_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/compute/named_tensors.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Weights under the names and in the shapes of VisionTransformerImpl. Tensors without a place there
// keep their names.
struct TimmWeights {
  std::string layout;  // for people: "timm", "Hugging Face", "torchvision", "Google's", ...
  TensorMap tensors;
  // What the layout says that the shapes do not: Google's head count, others' norms.
  vit::v1::ModelConfig config;
};

// Recognises the layout by its names:
// - timm's, with DINOv2's and DeiT III's own names for registers and LayerScale;
// - Hugging Face transformers' ViT, DeiT and DINOv2, with or without the model's prefix;
// - torchvision's;
// - Google's (vision_transformer, big_vision; blocks one by one or stacked), as npz files hold it;
// - the two families that model.proto describes beyond timm, under their first names.
// With DINOv2's registers, which have no positions, the class token's position is added to the
// token, as in timm. INVALID_ARGUMENT if it is none of the layouts, naming a few of the tensors;
// for tensors of blocks that make another formula (CheckBlocks); and if tensors of one block do not
// belong together.
absl::StatusOr<TimmWeights> ToTimmLayout(const TensorMap& tensors);

// Returns the name of a head among `tensors` (of ToTimmLayout) that is not a single linear layer
// called head ("head.1.weight", "fc.weight"); empty if there is none, or the right one.
std::string FindOtherHead(const TensorMap& tensors);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_WEIGHT_LAYOUT_H_
