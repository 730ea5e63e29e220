#include "core/train/recipe/mixing.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "core/base/compute/torch_device.h"
#include "core/base/random.h"
#include "core/train/recipe/loss.h"

namespace vit {
namespace {

// Draws a mix for an image of `size` pixels a side; the caller sets the partner.
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

DeviceMixes::DeviceMixes(const std::vector<Mix>& mixes, c10::Device device) {
  const auto count = static_cast<int64_t>(mixes.size());
  // Integers below 2^24 are exact in float32.
  at::Tensor values = at::empty({7, count}, at::kFloat);
  float* const out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < count; ++i) {
    const Mix& mix = mixes[i];
    any_mixed_ |= !mix.cut && mix.part < 1;
    any_cut_ |= mix.cut && mix.part < 1;
    const float row[] = {static_cast<float>(mix.partner), mix.part,
                         mix.cut ? 0 : 1 - mix.part,      static_cast<float>(mix.left),
                         static_cast<float>(mix.top),     static_cast<float>(mix.right),
                         static_cast<float>(mix.bottom)};
    for (int64_t r = 0; r < 7; ++r) out[r * count + i] = row[r];
  }
  const std::vector<at::Tensor> rows = ToDevice(values, device).unbind();
  partner_ = rows[0].to(at::kLong);
  part_ = rows[1];
  partners_share_ = rows[2];
  left_ = rows[3];
  top_ = rows[4];
  right_ = rows[5];
  bottom_ = rows[6];
}

at::Tensor DeviceMixes::MixImages(const at::Tensor& images) const {
  if (!any_mixed_ && !any_cut_) return images;
  const at::Tensor others = images.index_select(0, partner_);
  const auto along = [](const at::Tensor& values) { return values.view({-1, 1, 1, 1}); };
  const at::Tensor mixed = any_mixed_ ? images.lerp(others, along(partners_share_)) : images;
  if (!any_cut_) return mixed;
  const at::Tensor pixels = at::arange(images.size(3), images.options());
  const at::Tensor x = pixels.view({1, 1, 1, -1});
  const at::Tensor y = pixels.view({1, 1, -1, 1});
  const at::Tensor within_rows = y.ge(along(top_)).logical_and(y.lt(along(bottom_)));
  const at::Tensor within_columns = x.ge(along(left_)).logical_and(x.lt(along(right_)));
  return at::where(within_rows.logical_and(within_columns), others, mixed);
}

at::Tensor DeviceMixes::MixLabels(const at::Tensor& labels, int num_classes) const {
  const at::Tensor own = OneHot(labels, num_classes), part = part_.view({-1, 1});
  return own * part + own.index_select(0, partner_) * (1 - part);
}

}  // namespace vit
