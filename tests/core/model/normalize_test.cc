#include "core/model/normalize.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace vit {
namespace {

TEST(NormalizerTest, ScalesEachChannelByItsOwnMeanAndDeviation) {
  vit::v1::DataConfig config;
  for (const double mean : {0.485, 0.456, 0.406}) config.add_mean(mean);
  for (const double std : {0.229, 0.224, 0.225}) config.add_std(std);
  const Normalizer normalize(config, at::kCPU);
  // One image on one thread, several on more, sizes that fill no vector.
  for (const auto& [count, size] : {std::pair<int64_t, int64_t>{1, 5}, {7, 33}, {3, 224}}) {
    std::vector<uint8_t> pixels(count * 3 * size * size);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37 % 256);
    const at::Tensor images =
        normalize(at::from_blob(pixels.data(), {count, 3, size, size}, at::kByte));
    ASSERT_EQ(images.sizes(), (at::IntArrayRef{count, 3, size, size}));
    ASSERT_EQ(images.scalar_type(), at::kFloat);
    const auto* const values = images.const_data_ptr<float>();
    for (size_t i = 0; i < pixels.size(); ++i) {
      const auto channel = static_cast<int>(i / (size * size) % 3);
      const double expected = (pixels[i] / 255.0 - config.mean(channel)) / config.std(channel);
      ASSERT_NEAR(values[i], expected, 1e-6) << i;
    }
  }
}

}  // namespace
}  // namespace vit
