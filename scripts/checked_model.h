// The models that device_check computes with.
#ifndef VIT_SCRIPTS_CHECKED_MODEL_H_
#define VIT_SCRIPTS_CHECKED_MODEL_H_

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/model/vision_transformer.h"
#include "vit/v1/data.pb.h"

namespace vit {

inline constexpr int kClasses = 10;

// Names, and changes to a model with 32 x 32 pixels, patches of 4, width 64, depth 2 and 4 heads.
// Together they have every kind of layer.
const std::vector<std::pair<std::string, std::string>>& CheckedModels();

// The model with these changes.
vit::v1::ModelConfig CheckedModel(const std::string& changes);

// A model in training mode, none of whose logits are 0.
VisionTransformer NewModel(const vit::v1::ModelConfig& config, c10::Device device);

// [count, 3, S, S] for that model, on the CPU.
at::Tensor Images(const vit::v1::ModelConfig& config, int64_t count);

vit::v1::DataConfig Preprocessing();

// Returns the largest difference, relative to the largest expected value.
double RelativeError(const at::Tensor& actual, const at::Tensor& expected);

}  // namespace vit

#endif  // VIT_SCRIPTS_CHECKED_MODEL_H_
