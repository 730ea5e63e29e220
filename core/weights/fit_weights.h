// Resampling and cutting weights to another model's sizes. Only for the rooms that compute.
#ifndef VIT_CORE_WEIGHTS_FIT_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_FIT_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "vit/v1/model.pb.h"

namespace vit {

// `kernel`: [D, C, P, Q] -> [D, C, height, width], so that its products with resized patches stay
// as near as can be to those of `kernel` with the patches themselves: the pseudo-inverse of
// antialiased bicubic resizing (FlexiViT, https://arxiv.org/abs/2212.08013), as timm does.
at::Tensor ResamplePatchProjection(const at::Tensor& kernel, int64_t height, int64_t width);

// A distillation token without a head of its own is one more token in front and nothing else: makes
// it a register (with the position that it has), as which the model has it then.
void KeepDistillationToken(std::map<std::string, at::Tensor>* tensors);

// Changes what `tensors` (timm's names) holds for another image size, patch size, set of tokens in
// front or class count than those of `config` (effective, valid), and says so in `notes`. Heads of
// another class count are taken out. INVALID_ARGUMENT where positions form no grid.
absl::Status FitWeights(const vit::v1::ModelConfig& config,
                        std::map<std::string, at::Tensor>* tensors,
                        std::vector<std::string>* notes);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_FIT_WEIGHTS_H_
