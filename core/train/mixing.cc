#include "core/train/mixing.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/base/random.h"

namespace vit {
namespace {

// One draw, for a picture of `size` pixels a side; the partner is the caller's.
Mix DrawMix(const vit::v1::MixingConfig& config, int size, CounterRandom* random) {
  Mix mix;
  if (!random->Bernoulli(config.probability())) return mix;
  const bool both = config.mixup_alpha() > 0 && config.cutmix_alpha() > 0;
  mix.cut = both ? random->Bernoulli(config.switch_probability()) : config.cutmix_alpha() > 0;
  const double alpha = mix.cut ? config.cutmix_alpha() : config.mixup_alpha();
  const double lambda = random->Beta(alpha, alpha);
  mix.part = static_cast<float>(lambda);
  if (!mix.cut) return mix;
  const int side = static_cast<int>(size * std::sqrt(1 - lambda));
  const int y = static_cast<int>(random->UniformInt(size));
  const int x = static_cast<int>(random->UniformInt(size));
  mix.left = std::max(x - side / 2, 0);
  mix.top = std::max(y - side / 2, 0);
  mix.right = std::min(x + (side + 1) / 2, size);
  mix.bottom = std::min(y + (side + 1) / 2, size);
  const double area = 1.0 * (mix.right - mix.left) * (mix.bottom - mix.top);
  mix.part = static_cast<float>(1 - area / size / size);
  return mix;
}

// One value of each mix, along the pictures: [B, 1, 1, 1] on the images' device.
template <typename T, typename F>
at::Tensor Along(const std::vector<Mix>& mixes, const at::Tensor& images, F&& value) {
  std::vector<T> values;
  values.reserve(mixes.size());
  for (const Mix& mix : mixes) values.push_back(value(mix));
  return at::tensor(values).to(images.device()).view({-1, 1, 1, 1});
}

at::Tensor Partners(const std::vector<Mix>& mixes, const at::Tensor& images) {
  return Along<int64_t>(mixes, images, [](const Mix& m) { return m.partner; }).view({-1});
}

}  // namespace

bool HasMixing(const vit::v1::MixingConfig& config) {
  return (config.mixup_alpha() > 0 || config.cutmix_alpha() > 0) && config.probability() > 0;
}

std::vector<Mix> PlanMixing(const vit::v1::MixingConfig& config, uint64_t seed, int64_t step,
                            const std::vector<int>& slots, int batch_size, int image_size) {
  std::vector<int64_t> at_place(batch_size, -1);
  for (size_t i = 0; i < slots.size(); ++i) at_place[slots[i]] = static_cast<int64_t>(i);
  std::vector<Mix> mixes(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    const int other = batch_size - 1 - slots[i];
    mixes[i].partner = static_cast<int64_t>(i);
    if (at_place[other] < 0) continue;
    const int key = config.mode() == vit::v1::MIX_MODE_BATCH  ? 0
                    : config.mode() == vit::v1::MIX_MODE_PAIR ? std::min(slots[i], other)
                                                              : slots[i];
    CounterRandom random(seed, RandomPurpose::kMix, key, step);
    mixes[i] = DrawMix(config, image_size, &random);
    mixes[i].partner = at_place[other];
  }
  return mixes;
}

at::Tensor MixImages(const at::Tensor& images, const std::vector<Mix>& mixes) {
  const auto any = [&](auto&& is) { return std::any_of(mixes.begin(), mixes.end(), is); };
  const bool any_mixed = any([](const Mix& m) { return !m.cut && m.part < 1; });
  const bool any_cut = any([](const Mix& m) { return m.cut && m.part < 1; });
  if (!any_mixed && !any_cut) return images;
  const at::Tensor others = images.index_select(0, Partners(mixes, images));
  at::Tensor mixed = images;
  if (any_mixed) {
    mixed = images.lerp(
        others, Along<float>(mixes, images, [](const Mix& m) { return m.cut ? 0 : 1 - m.part; }));
  }
  if (!any_cut) return mixed;
  const at::Tensor pixels = at::arange(images.size(3), images.options().dtype(at::kLong));
  const auto edge = [&](int Mix::*field) {
    return Along<int64_t>(mixes, images, [&](const Mix& m) { return int64_t{m.*field}; });
  };
  const at::Tensor x = pixels.view({1, 1, 1, -1});
  const at::Tensor y = pixels.view({1, 1, -1, 1});
  const at::Tensor within_rows = y.ge(edge(&Mix::top)).logical_and(y.lt(edge(&Mix::bottom)));
  const at::Tensor within_columns = x.ge(edge(&Mix::left)).logical_and(x.lt(edge(&Mix::right)));
  return at::where(within_rows.logical_and(within_columns), others, mixed);
}

at::Tensor MixLabels(const at::Tensor& labels, const std::vector<Mix>& mixes, int num_classes) {
  const at::Tensor own = at::one_hot(labels, num_classes).to(at::kFloat);
  const at::Tensor part =
      Along<float>(mixes, labels, [](const Mix& m) { return m.part; }).view({-1, 1});
  return own * part + own.index_select(0, Partners(mixes, labels)) * (1 - part);
}

}  // namespace vit
