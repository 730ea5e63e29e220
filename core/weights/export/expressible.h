// Which parts of our models other programs' Vision Transformers have.
#ifndef VIT_CORE_WEIGHTS_EXPORT_EXPRESSIBLE_H_
#define VIT_CORE_WEIGHTS_EXPORT_EXPRESSIBLE_H_

#include "absl/status/status.h"
#include "vit/v1/model.pb.h"

namespace vit {

enum class Program { kTimm, kHuggingFace, kTorchvision };

// The epsilon of timm's CLIP models, the only one above 1e-6 that a timm name stands for.
constexpr double kClipEpsilon = 1e-5;

// FAILED_PRECONDITION if `model`, effective, has something that `program`'s VisionTransformer (for
// Hugging Face: ViT, DeiT and DINOv2) does not have; names the first such field.
absl::Status CheckExpressible(const vit::v1::ModelConfig& model, Program program);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPORT_EXPRESSIBLE_H_
