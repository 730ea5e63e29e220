// Copies a state dict into a model. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/vision_transformer.h"
#include "core/weights/head_labels.h"

namespace vit {

// Copies every parameter and buffer of `module` from `tensors`, by name. INVALID_ARGUMENT names
// tensors that are missing, left over or of another shape (both shapes); nothing is copied then.
absl::Status LoadWeights(const std::map<std::string, at::Tensor>& tensors,
                         torch::nn::Module& module);

// Whether LoadWeights would do it. Touches no weights, so a module that was only allocated costs no
// memory.
absl::Status CheckWeightsFit(const std::map<std::string, at::Tensor>& tensors,
                             const torch::nn::Module& module);

// INVALID_ARGUMENT names the first tensor with NaN or infinite values, and how many it has.
absl::Status CheckFinite(const std::map<std::string, at::Tensor>& tensors);

// For starting from the weights of a model that is like `model` but need not equal it. As timm
// does: position embeddings are resampled to the grid, patch projections to the patch size
// (FlexiViT, https://arxiv.org/abs/2212.08013), the tokens in front keep or lose their positions, a
// head of another class count starts anew, and so does what only `model` has and can learn anew.
// INVALID_ARGUMENT names what is missing or of another shape, what blocks of the weights have and
// the model's have not, and weights that are not finite; nothing is copied then. Returns notes
// for people on all that was changed, started anew or not used; empty where nothing was. A head of
// the same classes in another order is put into the model's order, and one of other classes starts
// anew, where `labels` are known (MatchHead).
absl::StatusOr<std::string> LoadInitialWeights(const std::map<std::string, at::Tensor>& tensors,
                                               VisionTransformerImpl& model,
                                               const HeadLabels& labels = {});

// Whether LoadInitialWeights would do it; as CheckWeightsFit.
absl::Status CheckInitialWeightsFit(const std::map<std::string, at::Tensor>& tensors,
                                    const VisionTransformerImpl& model);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_
