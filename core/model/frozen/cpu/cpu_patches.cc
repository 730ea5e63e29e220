#include "core/model/frozen/cpu/cpu_patches.h"

#include <algorithm>

#include "core/model/frozen/cpu/buffers.h"
#include "core/model/frozen/folded_weights.h"
#include "core/model/model_config.h"

namespace vit::frozen {
namespace {

// Patches that are projected at a time, so that they are in cache.
constexpr int64_t kRows = 128;

}  // namespace

template <typename T>
CpuPatches<T>::CpuPatches(const vit::v1::ModelConfig& config, const FoldedWeights& weights,
                          int64_t image_size, int64_t stride)
    : kernels_(BestKernels<T>()),
      side_(image_size),
      patch_height_(config.patch_size()),
      patch_width_(config.patch_width()),
      prefix_(weights.prefix.size(0)),
      tokens_(prefix_ + weights.positions.size(0)),
      stride_(stride),
      eps_(static_cast<float>(weights.eps)),
      pixels_(weights.pixels),
      patch_norm_(weights.patch_norm),
      norm_pre_(weights.norm_pre),
      projection_(weights.patches),
      prefix_rows_(PadColumns(weights.prefix, stride)),
      position_rows_(PadColumns(
          patch_norm_.exists() ? weights.positions : weights.positions + weights.patches.bias,
          stride)) {}

template <typename T>
CpuPatches<T>::Scratch CpuPatches<T>::MakeScratch() const {
  Scratch scratch = {.patches = Zeros<T>({kRows, projection_.inputs()}), .pixels = {}};
  if (pixels_.exists()) {
    scratch.pixels = Zeros<float>({kRows, RoundUpToLanes(3 * patch_height_ * patch_width_)});
  }
  return scratch;
}

template <typename T>
void CpuPatches<T>::Embed(absl::Span<const Image> images, int64_t first, int64_t last, float* x,
                          Scratch* scratch) const {
  float* to = x;
  for (int64_t row = first; row < last;) {
    const int64_t image = row / tokens_, token = row % tokens_;
    int64_t count = std::min(last - row, tokens_ - token);
    if (token < prefix_) {
      count = std::min(count, prefix_ - token);
      std::copy_n(prefix_rows_.const_data_ptr<float>() + token * stride_, count * stride_, to);
    } else {
      count = std::min(count, kRows);
      Project(images[image], token - prefix_, count, to, scratch);
    }
    row += count;
    to += count * stride_;
  }
  if (norm_pre_.exists()) norm_pre_.Apply(x, nullptr, last - first, stride_, x);
}

template <typename T>
void CpuPatches<T>::Project(const Image& image, int64_t first, int64_t count, float* x,
                            Scratch* scratch) const {
  T* const patches = scratch->patches.template data_ptr<T>();
  const float* const positions = position_rows_.const_data_ptr<float>() + first * stride_;
  const int64_t values = count * stride_;
  if (!patch_norm_.exists()) {
    Cut(image, first, count, patches, projection_.inputs());
    std::copy_n(positions, values, x);
    projection_.Add(patches, projection_.inputs(), count, x, stride_);
    return;
  }
  CutNormalized(image, first, count, scratch);
  std::fill_n(x, values, 0.0F);
  projection_.Add(patches, projection_.inputs(), count, x, stride_);
  patch_norm_.Apply(x, projection_.bias(), count, stride_, x);
  for (int64_t i = 0; i < values; ++i) x[i] += positions[i];
}

template <typename T>
void CpuPatches<T>::CutNormalized(const Image& image, int64_t first, int64_t count,
                                  Scratch* scratch) const {
  auto* const pixels = scratch->pixels.template data_ptr<float>();
  const int64_t stride = scratch->pixels.size(1);
  Cut(image, first, count, pixels, stride);
  pixels_.Apply(pixels, nullptr, count, stride, pixels);
  kernels_.normalize({pixels, stride, nullptr, count, 3 * patch_height_ * patch_width_, eps_},
                     scratch->patches.template data_ptr<T>(), projection_.inputs());
}

template <typename T>
template <typename Value>
void CpuPatches<T>::Cut(const Image& image, int64_t first, int64_t count, Value* out,
                        int64_t stride) const {
  const Kernels<Value>& kernels = BestKernels<Value>();
  const auto cut = [&](const auto& kernel, const auto* values) {
    kernel(values, side_, patch_height_, patch_width_, first, count, out, stride);
  };
  image.bytes != nullptr ? cut(kernels.cut_patches, image.bytes)
                         : cut(kernels.cut_float_patches, image.values);
}

template class CpuPatches<float>;
template class CpuPatches<at::BFloat16>;

}  // namespace vit::frozen
