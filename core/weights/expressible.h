// What other programs' Vision Transformers have of ours.
#ifndef VIT_CORE_WEIGHTS_EXPRESSIBLE_H_
#define VIT_CORE_WEIGHTS_EXPRESSIBLE_H_

#include "absl/status/status.h"
#include "vit/v1/model.pb.h"

namespace vit {

enum class Program { kTimm, kHuggingFace, kTorchvision };

// FAILED_PRECONDITION where `model`, effective, has something that `program`'s VisionTransformer
// (for Hugging Face: ViT, and DeiT with its teacher's head) has not; names the first such field.
absl::Status CheckExpressible(const vit::v1::ModelConfig& model, Program program);

}  // namespace vit

#endif  // VIT_CORE_WEIGHTS_EXPRESSIBLE_H_
