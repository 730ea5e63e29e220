#include "core/model/frozen/frozen_transformer.h"

#include "core/model/frozen/cpu_transformer.h"
#include "core/model/frozen/packed_linear.h"

namespace vit {
namespace {

template <typename T>
absl::StatusOr<std::unique_ptr<FrozenTransformer>> MakeFrozen(
    const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
    int64_t image_size) {
  if (!frozen::CanMultiply<T>()) {
    return absl::UnimplementedError("oneDNN has no kernels for this processor");
  }
  return std::make_unique<frozen::CpuTransformer<T>>(model, preprocessing, image_size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrozenTransformer>> FrozenTransformer::Create(
    const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
    const Options& options) {
  if (model.config().patch_norm()) {
    return absl::UnimplementedError("the model has model.patch_norm");
  }
  return options.bfloat16 ? MakeFrozen<at::BFloat16>(model, preprocessing, options.image_size)
                          : MakeFrozen<float>(model, preprocessing, options.image_size);
}

}  // namespace vit
