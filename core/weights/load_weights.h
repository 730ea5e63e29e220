// Copies a state dict into a model.
#ifndef VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/compute/named_tensors.h"
#include "core/model/vision_transformer.h"
#include "core/weights/head_labels.h"

namespace vit {

// Copies every parameter and buffer of `module` from `tensors`, by name. INVALID_ARGUMENT names
// tensors that are missing, left over or of another shape (both shapes); nothing is copied then.
absl::Status LoadWeights(const TensorMap& tensors, torch::nn::Module& module);

// Checks whether LoadWeights would succeed. Touches no weights, so a module that was only allocated
// costs no memory.
absl::Status CheckWeightsFit(const TensorMap& tensors, const torch::nn::Module& module);

// INVALID_ARGUMENT names the first tensor with NaN or infinite values, and how many it has.
absl::Status CheckFinite(const TensorMap& tensors);

// Loads the weights of a model that is similar to `model` but need not equal it. As in timm,
// position embeddings are resampled to the grid, patch projections to the patch size (FlexiViT,
// https://arxiv.org/abs/2212.08013), prefix tokens keep or lose their positions, a head of another
// class count is new, and so is what only `model` has and can learn. If `labels` are known, a head
// of the same classes in another order is put into the model's order, and one of other classes is
// new (MatchHead). Returns notes for people on everything that was changed, new or not used; empty
// if nothing was. INVALID_ARGUMENT names what is missing or of another shape, what blocks of the
// weights have and the model's do not, and weights that are not finite; nothing is copied then.
absl::StatusOr<std::string> LoadInitialWeights(const TensorMap& tensors,
                                               VisionTransformerImpl& model,
                                               const HeadLabels& labels = {});

// Checks whether LoadInitialWeights would succeed; as CheckWeightsFit.
absl::Status CheckInitialWeightsFit(const TensorMap& tensors, const VisionTransformerImpl& model);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_
