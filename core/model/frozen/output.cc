#include "core/model/frozen/output.h"

#include "core/model/model_config.h"

namespace vit::frozen {

using Output = FrozenTransformer::Output;

int64_t OutputSize(const vit::v1::ModelConfig& config, int64_t tokens, Output output) {
  switch (output) {
    case Output::kLogits:
      return config.num_classes();
    case Output::kFeatures:
      return PooledFeatures(config);
    case Output::kLogitsAndFeatures:
      return config.num_classes() + PooledFeatures(config);
    default:
      return tokens * config.embed_dim();
  }
}

int64_t NeededTokens(const vit::v1::ModelConfig& config, int64_t tokens, Output output) {
  if (output == Output::kTokens || config.global_pool() != vit::v1::GLOBAL_POOL_TOKEN) {
    return tokens;
  }
  return config.distillation_token() ? 2 : 1;
}

}  // namespace vit::frozen
