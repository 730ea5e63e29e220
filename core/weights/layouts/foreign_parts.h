// Recognises weights of other models by their names.
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_FOREIGN_PARTS_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_FOREIGN_PARTS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"

namespace vit {

// Says for people what a tensor with this name (timm's) is a part of: "relative position bias
// (BEiT)"; "a part of another kind" if the name does not show it.
std::string DescribePart(const std::string& name);

// INVALID_ARGUMENT for tensors (timm's names, query, key and value apart or together) of blocks
// that no supported model has: SwiGLU, relative positions, norms inside attention and the like.
// What they compute would otherwise be left out silently.
absl::Status CheckBlocks(const TensorMap& tensors);

// Checks tensors that a model does not use. INVALID_ARGUMENT for those of the formula itself
// (blocks, norms, pooling, patches, positions), naming what they are. OK for what does not affect
// classification: mask tokens, decoders, projections of self-supervised training, counters.
absl::Status CheckUnused(const std::vector<std::string>& unused);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_FOREIGN_PARTS_H_
