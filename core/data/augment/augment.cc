#include "core/data/augment/augment.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/data/augment/augment_apply.h"
#include "core/data/augment/augment_blur.h"

namespace vit {
namespace {

using augment::Planes;
using augment::Scratch;

// The colour that timm fills with: the mean as 0..255, halves rounded to even.
std::array<uint8_t, 3> MeanColor(const vit::v1::DataConfig& config) {
  std::array<uint8_t, 3> color = {128, 128, 128};
  for (int c = 0; c < std::min(config.mean_size(), 3); ++c) {
    color[c] = static_cast<uint8_t>(std::clamp(std::nearbyint(255 * config.mean(c)), 0.0, 255.0));
  }
  return color;
}

}  // namespace

Augmenter::Augmenter(const vit::v1::DataConfig& config)
    : train_(config.train()),
      policy_(augment::ParsePolicy(train_.auto_augment()).value()),
      interpolation_(train_.interpolation() == vit::v1::INTERPOLATION_UNSPECIFIED
                         ? config.interpolation()
                         : train_.interpolation()),
      fill_(MeanColor(config)) {}

void Augmenter::Apply(CounterRandom* random, const Planes& image) const {
  Scratch scratch;
  if (policy_.kind != augment::Policy::Kind::kNone) {
    augment::PolicyCanvas canvas;
    if (policy_.nearest_on_black) {
      canvas.canvas.resampling = augment::Resampling::kNearest;
    } else {
      canvas.canvas = {interpolation_ == vit::v1::INTERPOLATION_BILINEAR
                           ? augment::Resampling::kBilinear
                           : augment::Resampling::kBicubic,
                       fill_};
      canvas.draw_resampling = interpolation_ == vit::v1::INTERPOLATION_RANDOM;
    }
    ApplyPolicy(policy_, canvas, random, image, &scratch);
  }
  Jitter(random, image);
  if (train_.grayscale() > 0 && random->Bernoulli(train_.grayscale())) augment::Grayscale(image);
  if (train_.gaussian_blur() > 0 && random->Bernoulli(train_.gaussian_blur())) {
    const double sigma = random->Uniform(train_.blur_sigma_min(), train_.blur_sigma_max());
    augment::GaussianBlur(train_.blur_kernel_size(), sigma, image, &scratch);
  }
  if (train_.solarize() > 0 && random->Bernoulli(train_.solarize())) {
    augment::Solarize(train_.solarize_threshold(), image);
  }
}

void Augmenter::Jitter(CounterRandom* random, const Planes& image) const {
  const bool on = train_.jitter_brightness() > 0 || train_.jitter_contrast() > 0 ||
                  train_.jitter_saturation() > 0 || train_.jitter_hue() > 0;
  if (!on || !random->Bernoulli(train_.jitter_probability())) return;
  const auto factor = [&](double range) {
    return random->Uniform(std::max(0.0, 1 - range), 1 + range);
  };
  const double brightness = factor(train_.jitter_brightness());
  const double contrast = factor(train_.jitter_contrast());
  const double saturation = factor(train_.jitter_saturation());
  const double hue = random->Uniform(-train_.jitter_hue(), train_.jitter_hue());
  int order[] = {0, 1, 2, 3};
  for (int i = 3; i > 0; --i) std::swap(order[i], order[random->UniformInt(i + 1)]);
  for (const int step : order) {
    if (step == 0 && train_.jitter_brightness() > 0) augment::Brightness(brightness, image);
    if (step == 1 && train_.jitter_contrast() > 0) augment::Contrast(contrast, image);
    if (step == 2 && train_.jitter_saturation() > 0) augment::Color(saturation, image);
    if (step == 3 && train_.jitter_hue() > 0) augment::Hue(hue, image);
  }
}

}  // namespace vit
