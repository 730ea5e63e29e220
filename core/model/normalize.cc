#include "core/model/normalize.h"

#include <ATen/ATen.h>

#include <vector>

namespace vit {

Normalizer::Normalizer(const vit::v1::DataConfig& config, c10::Device device) : device_(device) {
  std::vector<float> scale, shift;
  for (int i = 0; i < 3; ++i) {
    scale.push_back(static_cast<float>(1 / (255 * config.std(i))));
    shift.push_back(static_cast<float>(-config.mean(i) / config.std(i)));
  }
  scale_ = at::tensor(scale).view({1, 3, 1, 1}).to(device);
  shift_ = at::tensor(shift).view({1, 3, 1, 1}).to(device);
}

at::Tensor Normalizer::operator()(const uint8_t* pixels, int64_t count, int64_t size) const {
  const at::Tensor bytes =
      at::from_blob(const_cast<uint8_t*>(pixels), {count, 3, size, size}, at::kByte);
  // Bytes travel to the device, a quarter of the floats.
  return bytes.to(device_).to(at::kFloat).mul_(scale_).add_(shift_);
}

}  // namespace vit
