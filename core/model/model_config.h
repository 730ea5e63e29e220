// Checks and sizes of ModelConfig, all without allocating a model.
#ifndef VIT_CORE_MODEL_MODEL_CONFIG_H_
#define VIT_CORE_MODEL_MODEL_CONFIG_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "vit/v1/model.pb.h"

namespace vit {

// Checks an effective config. INVALID_ARGUMENT names the field as "model.embed_dim", the reason and
// the nearest value that is valid.
absl::Status ValidateModelConfig(const vit::v1::ModelConfig& config);

// Checks that images of `side` x `side` can go into the model of an effective config.
// INVALID_ARGUMENT names `side` by `field`.
absl::Status CheckInputSize(const vit::v1::ModelConfig& config, int side, absl::string_view field);

// The functions below take an effective, valid config.

// Width of the MLP's hidden layer.
int64_t MlpHiddenDim(const vit::v1::ModelConfig& config);
// Values of one patch: channels x height x width.
int64_t PatchValues(const vit::v1::ModelConfig& config);
// Patch tokens of one image.
int64_t PatchCount(const vit::v1::ModelConfig& config);
// Tokens in front of the patch tokens: class, distillation, registers.
int64_t PrefixTokenCount(const vit::v1::ModelConfig& config);
// All tokens of one image.
int64_t TokenCount(const vit::v1::ModelConfig& config);
// Entries of the position embedding, 0 if there is none.
int64_t PositionCount(const vit::v1::ModelConfig& config);
// Features of one image after pooling, before a representation layer.
int64_t PooledFeatures(const vit::v1::ModelConfig& config);
// About the most memory that the forward pass takes for one image, in float32 without gradients.
int64_t ForwardBytes(const vit::v1::ModelConfig& config);
// Trained values, without fixed or averaged ones such as sin-cos positions and running means.
int64_t ParameterCount(const vit::v1::ModelConfig& config);
// Multiplications and additions of one image's forward pass, in its matrix products.
double ForwardFlops(const vit::v1::ModelConfig& config);

}  // namespace vit

#endif  // VIT_CORE_MODEL_MODEL_CONFIG_H_
