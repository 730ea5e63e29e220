// Copies a state dict into a model. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace vit {

// Copies every parameter of `module` from `tensors`, by name. INVALID_ARGUMENT names tensors that
// are missing, left over or of another shape (both shapes); nothing is copied then.
absl::Status LoadWeights(const std::map<std::string, at::Tensor>& tensors,
                         torch::nn::Module& module);

// As LoadWeights, for starting a run from other weights: a head ("head.weight", "head.bias") of
// another class count is left as it is. Returns a note for people on what was left out, empty where
// nothing was.
absl::StatusOr<std::string> LoadInitialWeights(const std::map<std::string, at::Tensor>& tensors,
                                               torch::nn::Module& module);

// Whether LoadInitialWeights would do it. Touches no weights, so a model that was only allocated
// costs no memory.
absl::Status CheckInitialWeightsFit(const std::map<std::string, at::Tensor>& tensors,
                                    const torch::nn::Module& module);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_LOAD_WEIGHTS_H_
