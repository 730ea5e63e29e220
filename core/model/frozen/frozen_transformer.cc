#include "core/model/frozen/frozen_transformer.h"

#include "core/model/frozen/cpu/cpu_transformer.h"
#include "core/model/frozen/cpu/packed_linear.h"
#include "core/model/frozen/tensor_transformer.h"

namespace vit {
namespace {

template <typename T>
std::unique_ptr<FrozenTransformer> MakeFrozen(const VisionTransformerImpl& model,
                                              const vit::v1::DataConfig& preprocessing,
                                              const FrozenTransformer::Options& options) {
  if (!model.parameters().front().is_cpu() || !frozen::CanMultiply<T>()) {
    return std::make_unique<frozen::TensorTransformer>(model, preprocessing, options);
  }
  return std::make_unique<frozen::CpuTransformer<T>>(model, preprocessing, options.image_size);
}

}  // namespace

std::unique_ptr<FrozenTransformer> FrozenTransformer::Create(
    const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
    const Options& options) {
  return options.bfloat16 ? MakeFrozen<at::BFloat16>(model, preprocessing, options)
                          : MakeFrozen<float>(model, preprocessing, options);
}

}  // namespace vit
