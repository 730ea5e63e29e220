// The names that other programs give a Vision Transformer's weights, beside timm's.
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_LAYOUT_NAMES_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_LAYOUT_NAMES_H_

#include <string>
#include <utility>
#include <vector>

namespace vit {

// Pairs of a part of their name, with the dots around it, and timm's; applied in order, or
// backwards in reverse order.
using Renames = std::vector<std::pair<std::string, std::string>>;

// DINOv2's and DeiT III's own names for registers and LayerScale.
const Renames& TimmRenames();
// transformers' ViT, DeiT and DINOv2, without the model's prefix and with query, key and value
// separate: the names that save_pretrained writes.
const Renames& HuggingFaceRenames();
// From transformers' names in memory since version 5 to the names that it writes.
const Renames& HuggingFaceMemoryRenames();
// As HuggingFaceRenames, for writing: of DINOv2, whose blocks keep timm's names of norms and MLPs,
// and of DeiT with one head, whose distillation token is a register here.
const Renames& Dinov2Renames();
const Renames& DeitRenames();
// The heads of transformers' DeiT with a distillation token.
const Renames& DeitHeadRenames();
const Renames& TorchvisionRenames();
// The MLP's names of torchvision before 0.13.
const Renames& OldTorchvisionRenames();
// The two families that model.proto describes beyond timm, under their first names.
const Renames& SharedNormRenames();
const Renames& BatchNormRenames();

// Convert their name to timm's, and timm's to theirs.
std::string Renamed(const std::string& name, const Renames& renames);
std::string RenamedBack(const std::string& name, const Renames& renames);

// Whether the first part of the name is one under which programs keep a classifier: "head",
// "classifier", "fc" and the like.
bool IsHeadName(const std::string& name);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_LAYOUT_NAMES_H_
