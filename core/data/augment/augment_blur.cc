#include "core/data/augment/augment_blur.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/simd_clones.h"

namespace vit::augment {
namespace {

// The weights of a box with fractional ends: radius 1.5 is three pixels and half of the next one on
// each side. In fixed point with 24 fractional bits.
struct BoxWeights {
  int radius;
  uint32_t inner;  // of a pixel within `radius`
  uint32_t outer;  // of the next one on each side
};

BoxWeights WeightsOf(float radius) {
  const int whole = static_cast<int>(radius);
  const auto inner = static_cast<uint32_t>(static_cast<float>(1 << 24) / (radius * 2 + 1));
  const uint32_t outer = ((1U << 24) - static_cast<uint32_t>(whole * 2 + 1) * inner) / 2;
  return {whole, inner, outer};
}

// The radius of a box that, applied `passes` times, has the standard deviation `radius`: Gwosdek et
// al., "Theoretical foundations of Gaussian convolution by extended box filtering" (SSVM 2011), in
// Pillow's single precision.
float BoxRadius(float radius, int passes) {
  const float sigma2 = radius * radius / static_cast<float>(passes);
  const auto length = static_cast<float>(std::sqrt(12.0 * sigma2 + 1.0));
  const auto whole = static_cast<float>(std::floor((length - 1.0) / 2.0));
  float part = (2 * whole + 1) * (whole * (whole + 1) - 3 * sigma2);
  part /= 6 * (sigma2 - (whole + 1) * (whole + 1));
  return whole + part;
}

VIT_SIMD_CLONES
void MoveWindow(const uint8_t* __restrict leaves, const uint8_t* __restrict enters, int width,
                uint32_t* __restrict sums) {
  for (int x = 0; x < width; ++x) {
    sums[x] += enters[x];
    sums[x] -= leaves[x];
  }
}

VIT_SIMD_CLONES
void WriteWindow(const uint32_t* __restrict sums, const uint8_t* __restrict before,
                 const uint8_t* __restrict after, const BoxWeights& weights, int width,
                 uint8_t* __restrict out) {
  const uint32_t inner = weights.inner;
  const uint32_t outer = weights.outer;
  for (int x = 0; x < width; ++x) {
    const uint32_t ends = static_cast<uint32_t>(before[x]) + after[x];
    out[x] = static_cast<uint8_t>((sums[x] * inner + ends * outer + (1U << 23)) >> 24);
  }
}

// Applies one box blur down the columns of a plane.
void BlurDown(const uint8_t* in, int width, int height, const BoxWeights& weights, uint8_t* out) {
  const auto row = [&](int y) { return in + size_t{1} * width * std::clamp(y, 0, height - 1); };
  std::vector<uint32_t> sums(width);
  for (int y = -weights.radius; y <= weights.radius; ++y) {
    const uint8_t* values = row(y);
    for (int x = 0; x < width; ++x) sums[x] += values[x];
  }
  for (int y = 0; y < height; ++y) {
    if (y > 0) MoveWindow(row(y - weights.radius - 1), row(y + weights.radius), width, sums.data());
    WriteWindow(sums.data(), row(y - weights.radius - 1), row(y + weights.radius + 1), weights,
                width, out + size_t{1} * y * width);
  }
}

// Transposes [height, width] to [width, height].
void Transpose(const uint8_t* in, int width, int height, uint8_t* out) {
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) out[size_t{1} * x * height + y] = *in++;
  }
}

// Blurs `plane` three times, leaving the result in `other`.
void BlurDownThrice(uint8_t* plane, int width, int height, const BoxWeights& weights,
                    uint8_t* other) {
  BlurDown(plane, width, height, weights, other);
  BlurDown(other, width, height, weights, plane);
  BlurDown(plane, width, height, weights, other);
}

// Maps position `i` to an axis of `length` that is mirrored at its ends without repeating them.
int Mirrored(int i, int length) {
  if (length == 1) return 0;
  const int period = 2 * (length - 1);
  i = ((i % period) + period) % period;
  return i < length ? i : period - i;
}

std::vector<float> GaussianWeights(int kernel_size, double sigma) {
  std::vector<float> weights(kernel_size);
  const int middle = kernel_size / 2;
  float sum = 0;
  for (int i = 0; i < kernel_size; ++i) {
    const float x = static_cast<float>(i - middle) / static_cast<float>(sigma);
    weights[i] = std::exp(-0.5F * (x * x));
    sum += weights[i];
  }
  for (float& weight : weights) weight /= sum;
  return weights;
}

VIT_SIMD_CLONES
void AddWeighted(const float* __restrict in, float weight, int count, float* __restrict out) {
  for (int i = 0; i < count; ++i) out[i] += weight * in[i];
}

VIT_SIMD_CLONES
void RoundToBytes(const float* __restrict in, int count, uint8_t* __restrict out) {
  for (int i = 0; i < count; ++i) {
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(std::nearbyint(in[i])));
  }
}

}  // namespace

void PillowGaussianBlur(double radius, const Planes& image, Scratch* scratch) {
  constexpr int kPasses = 3;
  const BoxWeights weights = WeightsOf(BoxRadius(static_cast<float>(radius), kPasses));
  uint8_t* turned = scratch->Bytes(image.plane_size());
  uint8_t* blurred = scratch->MoreBytes(image.plane_size());
  for (int channel = 0; channel < 3; ++channel) {
    uint8_t* plane = image.plane(channel);
    Transpose(plane, image.width, image.height, turned);
    BlurDownThrice(turned, image.height, image.width, weights, blurred);
    Transpose(blurred, image.height, image.width, turned);
    BlurDownThrice(turned, image.width, image.height, weights, plane);
  }
}

void GaussianBlur(int kernel_size, double sigma, const Planes& image, Scratch* scratch) {
  const std::vector<float> weights = GaussianWeights(kernel_size, sigma);
  const int width = image.width;
  const int height = image.height;
  const int reach = kernel_size / 2;
  const int padded = width + 2 * reach;
  std::vector<int> columns(padded);
  for (int x = 0; x < padded; ++x) columns[x] = Mirrored(x - reach, width);
  // Rows blurred across, one padded row to blur, and a sum.
  float* across = scratch->Floats(image.plane_size() + padded + width);
  float* row = across + image.plane_size();
  float* sum = row + padded;
  for (int channel = 0; channel < 3; ++channel) {
    uint8_t* plane = image.plane(channel);
    for (int y = 0; y < height; ++y) {
      const uint8_t* in = plane + size_t{1} * y * width;
      for (int x = 0; x < padded; ++x) row[x] = in[columns[x]];
      float* out = across + size_t{1} * y * width;
      std::fill_n(out, width, 0.0F);
      for (int i = 0; i < kernel_size; ++i) AddWeighted(row + i, weights[i], width, out);
    }
    for (int y = 0; y < height; ++y) {
      std::fill_n(sum, width, 0.0F);
      for (int i = 0; i < kernel_size; ++i) {
        const int from = Mirrored(y - reach + i, height);
        AddWeighted(across + size_t{1} * from * width, weights[i], width, sum);
      }
      RoundToBytes(sum, width, plane + size_t{1} * y * width);
    }
  }
}

}  // namespace vit::augment
