// Resamples and cuts weights to another model's sizes.
#ifndef VIT_CORE_WEIGHTS_FIT_WEIGHTS_H_
#define VIT_CORE_WEIGHTS_FIT_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Resamples `kernel`, [D, C, P, Q] -> [D, C, height, width], so that its products with resized
// patches stay as close as possible to those of `kernel` with the original patches: the
// pseudo-inverse of antialiased bicubic resizing (FlexiViT, https://arxiv.org/abs/2212.08013), as
// timm does.
at::Tensor ResamplePatchProjection(const at::Tensor& kernel, int64_t height, int64_t width);

// Turns a distillation token without its own head into a register (with its position): it is just
// one more prefix token.
void KeepDistillationToken(TensorMap* tensors);

// Adapts `tensors` (timm's names) from another image size, patch size, set of prefix tokens or
// class count to those of `config` (effective, valid), and reports it in `notes`. Removes heads of
// another class count. INVALID_ARGUMENT if positions form no grid.
absl::Status FitWeights(const vit::v1::ModelConfig& config, TensorMap* tensors,
                        std::vector<std::string>* notes);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_FIT_WEIGHTS_H_
