#include "core/model/normalize.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/base/simd_clones.h"

namespace vit {
namespace {

VIT_SIMD_CLONES void NormalizePlane(const uint8_t* in, int64_t count, float scale, float shift,
                                    float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) * scale + shift;
}

}  // namespace

Normalizer::Normalizer(const vit::v1::DataConfig& config, c10::Device device) : device_(device) {
  std::vector<float> scale, shift;
  for (int i = 0; i < 3; ++i) {
    scale.push_back(static_cast<float>(1 / (255 * config.std(i))));
    shift.push_back(static_cast<float>(-config.mean(i) / config.std(i)));
  }
  scale_ = at::tensor(scale).view({1, 3, 1, 1}).to(device);
  shift_ = at::tensor(shift).view({1, 3, 1, 1}).to(device);
}

at::Tensor Normalizer::operator()(const at::Tensor& pixels) const {
  if (device_.is_cpu() && pixels.scalar_type() == at::kByte) {
    // In one pass, where LibTorch's operators make three.
    at::Tensor out = at::empty(pixels.sizes(), at::kFloat);
    const int64_t count = pixels.size(0), plane = pixels.size(2) * pixels.size(3);
    const uint8_t* const from = pixels.const_data_ptr<uint8_t>();
    const float* const scale = scale_.const_data_ptr<float>();
    const float* const shift = shift_.const_data_ptr<float>();
    float* const to = out.mutable_data_ptr<float>();
    constexpr int64_t kLeastPixels = 1 << 15;  // the fewest that are worth a thread
    at::parallel_for(
        0, 3 * count, std::max<int64_t>(1, kLeastPixels / plane), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            NormalizePlane(from + i * plane, plane, scale[i % 3], shift[i % 3], to + i * plane);
          }
        });
    return out;
  }
  // Bytes travel to the device, a quarter of the floats.
  return pixels.to(device_, /*non_blocking=*/true).to(at::kFloat).mul(scale_).add_(shift_);
}

}  // namespace vit
