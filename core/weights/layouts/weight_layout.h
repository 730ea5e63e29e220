// The names and shapes that other programs give a Vision Transformer's weights. Only for the rooms
// that compute.
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_WEIGHT_LAYOUT_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_WEIGHT_LAYOUT_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Weights under the names and in the shapes of VisionTransformerImpl. What has no place there keeps
// its own name.
struct TimmWeights {
  std::string layout;  // for people: "timm", "Hugging Face", "torchvision", "Google's", ...
  std::map<std::string, at::Tensor> tensors;
  // What the layout tells that the shapes do not: the head count of Google's, the norms of others.
  vit::v1::ModelConfig config;
};

// Recognises the layout by its names:
// - timm's, with DINOv2's and DeiT III's own names for registers and LayerScale;
// - Hugging Face transformers' ViT, DeiT and DINOv2, with or without the model's prefix;
// - torchvision's;
// - Google's (vision_transformer, big_vision; blocks one by one or stacked), as npz files hold it;
// - the two families that model.proto describes beyond timm, under their first names.
// DINOv2's registers, which have no positions, come with the class token's position added to the
// token, as timm has them. INVALID_ARGUMENT where it is none of the layouts, naming a few of the
// tensors; for tensors of blocks that make another formula (CheckBlocks); and where tensors of one
// block do not belong together.
absl::StatusOr<TimmWeights> ToTimmLayout(const std::map<std::string, at::Tensor>& tensors);

// The name of a head among `tensors` (of ToTimmLayout) that is not the one linear layer that a head
// is here ("head.1.weight", "fc.weight"); empty where there is none, or the right one.
std::string FindOtherHead(const std::map<std::string, at::Tensor>& tensors);

// Google's part of it: as ToTimmLayout, but with query, key and value apart.
absl::StatusOr<TimmWeights> FromGoogleLayout(const std::map<std::string, at::Tensor>& tensors);
bool IsGoogleLayout(const std::map<std::string, at::Tensor>& tensors);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_WEIGHT_LAYOUT_H_
