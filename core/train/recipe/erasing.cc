#include "core/train/recipe/erasing.h"

#include <torch/torch.h>

#include <cmath>
#include <mutex>

#include "core/base/random.h"

namespace vit {
namespace {

constexpr int kTries = 10;

at::Generator NewGenerator(const at::Device& device) {
  at::Generator common = at::globalContext().defaultGenerator(device);
  const std::lock_guard<std::mutex> lock(common.mutex());
  return common.clone();
}

// Returns normal noise of the shape of `part`, a function of `seed`.
at::Tensor Noise(const at::Tensor& part, uint64_t seed, at::Generator* generator) {
  {
    const std::lock_guard<std::mutex> lock(generator->mutex());
    generator->set_current_seed(seed);
  }
  return at::randn(part.sizes(), *generator, part.options());
}

}  // namespace

std::vector<Erasure> PlanErasing(const vit::v1::RandomErasing& config, uint64_t seed, int64_t step,
                                 const std::vector<int>& slots, int image_size) {
  std::vector<Erasure> erasures;
  const double pixels = 1.0 * image_size * image_size;
  for (size_t i = 0; i < slots.size(); ++i) {
    CounterRandom random(seed, RandomPurpose::kErase, slots[i], static_cast<uint64_t>(step));
    if (!random.Bernoulli(config.probability())) continue;
    const int count = 1 + static_cast<int>(random.UniformInt(config.max_count()));
    for (int n = 0; n < count; ++n) {
      for (int attempt = 0; attempt < kTries; ++attempt) {
        const double area = random.Uniform(config.area_min(), config.area_max()) * pixels / count;
        const double log_ratio = std::log(config.ratio_min());
        const double ratio = std::exp(random.Uniform(log_ratio, -log_ratio));
        const int height = static_cast<int>(std::lround(std::sqrt(area * ratio)));
        const int width = static_cast<int>(std::lround(std::sqrt(area / ratio)));
        if (height >= image_size || width >= image_size) continue;
        Erasure erasure{.image = static_cast<int64_t>(i)};
        erasure.top = static_cast<int>(random.UniformInt(image_size - height + 1));
        erasure.left = static_cast<int>(random.UniformInt(image_size - width + 1));
        erasure.bottom = erasure.top + height;
        erasure.right = erasure.left + width;
        if (config.fill() == vit::v1::ERASING_FILL_COLOR) {
          for (float& value : erasure.color) value = static_cast<float>(random.Normal());
        } else if (config.fill() == vit::v1::ERASING_FILL_NOISE) {
          erasure.noise_seed = random.NextUint64();
        }
        erasures.push_back(erasure);
        break;
      }
    }
  }
  return erasures;
}

at::Tensor EraseImages(const at::Tensor& images, const std::vector<Erasure>& erasures,
                       vit::v1::ErasingFill fill) {
  if (erasures.empty()) return images;
  at::Tensor erased = images.clone();
  at::Generator generator;
  if (fill == vit::v1::ERASING_FILL_NOISE) generator = NewGenerator(images.device());
  for (const Erasure& e : erasures) {
    const at::Tensor part = erased[e.image].slice(1, e.top, e.bottom).slice(2, e.left, e.right);
    if (fill == vit::v1::ERASING_FILL_NOISE) {
      part.copy_(Noise(part, e.noise_seed, &generator));
    } else if (fill == vit::v1::ERASING_FILL_COLOR) {
      for (int c = 0; c < 3; ++c) part[c].fill_(e.color[c]);
    } else {
      part.zero_();
    }
  }
  return erased;
}

}  // namespace vit
