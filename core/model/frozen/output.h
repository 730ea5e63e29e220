// How large the outputs of a frozen model are, and what they are computed from.
#ifndef VIT_CORE_MODEL_FROZEN_OUTPUT_H_
#define VIT_CORE_MODEL_FROZEN_OUTPUT_H_

#include <cstdint>

#include "core/model/frozen/frozen_transformer.h"

namespace vit::frozen {

// Returns the values of an output for an image that has `tokens` tokens.
int64_t OutputSize(const vit::v1::ModelConfig& config, int64_t tokens,
                   FrozenTransformer::Output output);

// Returns how many of the last block's tokens an output needs, from the first on.
int64_t NeededTokens(const vit::v1::ModelConfig& config, int64_t tokens,
                     FrozenTransformer::Output output);

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_OUTPUT_H_
