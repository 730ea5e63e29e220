// What weights of other models say of themselves by their names. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_LAYOUTS_FOREIGN_PARTS_H_
#define VIT_CORE_WEIGHTS_LAYOUTS_FOREIGN_PARTS_H_

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace vit {

// What a tensor of this name (timm's) is a part of, for people: "relative position bias (BEiT)";
// "a part that this model has not" where the name tells nothing.
std::string DescribePart(const std::string& name);

// INVALID_ARGUMENT for tensors (timm's names, query, key and value apart or together) of blocks
// that no model here has: SwiGLU, relative positions, norms inside attention and the like. What
// they would compute would be left out without a word.
absl::Status CheckBlocks(const std::map<std::string, at::Tensor>& tensors);

// Of tensors that a model has no use for: those of the formula itself (blocks, norms, pooling,
// patches, positions) are INVALID_ARGUMENT, named with what they are. OK for what plays no part in
// a classification: mask tokens, decoders, projections of self-supervised training, counters.
absl::Status CheckUnused(const std::vector<std::string>& unused);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LAYOUTS_FOREIGN_PARTS_H_
