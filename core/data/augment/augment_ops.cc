#include "core/data/augment/augment_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "core/base/simd_clones.h"

namespace vit::augment {
namespace {

using Table = std::array<uint8_t, 256>;
using Histogram = std::array<uint32_t, 256>;

// Truncates. Pillow rounds by adding a half and truncating.
inline int CutOff(double x) { return static_cast<int>(x); }

// Truncates, as Pillow's blend does.
inline uint8_t ToByte(float value) {
  value = value < 0 ? 0 : value;
  value = value > 255 ? 255 : value;
  return static_cast<uint8_t>(static_cast<int32_t>(value));
}

inline uint8_t Blend(float from, float to, float alpha) {
  return ToByte(from + alpha * (to - from));
}

// ITU-R 601 luma in 16 fractional bits.
inline uint32_t Luma(uint32_t red, uint32_t green, uint32_t blue) {
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}

void Apply(const Table& table, uint8_t* pixels, size_t count) {
  for (size_t i = 0; i < count; ++i) pixels[i] = table[pixels[i]];
}

VIT_SIMD_CLONES
void BlendWithConstant(float from, float alpha, uint8_t* pixels, size_t count) {
  for (size_t i = 0; i < count; ++i) pixels[i] = Blend(from, pixels[i], alpha);
}

VIT_SIMD_CLONES
uint64_t SumOfLuma(const uint8_t* red, const uint8_t* green, const uint8_t* blue, size_t count) {
  constexpr size_t kBlock = size_t{1} << 16;  // its sum fits into 32 bits
  uint64_t total = 0;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = std::min(begin + kBlock, count);
    uint32_t sum = 0;
    for (size_t i = begin; i < end; ++i) sum += Luma(red[i], green[i], blue[i]);
    total += sum;
  }
  return total;
}

VIT_SIMD_CLONES
void BlendWithLuma(float alpha, uint8_t* __restrict red, uint8_t* __restrict green,
                   uint8_t* __restrict blue, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const auto luma = static_cast<float>(static_cast<int32_t>(Luma(red[i], green[i], blue[i])));
    red[i] = Blend(luma, red[i], alpha);
    green[i] = Blend(luma, green[i], alpha);
    blue[i] = Blend(luma, blue[i], alpha);
  }
}

VIT_SIMD_CLONES
void BlendBytes(const uint8_t* __restrict other, float alpha, uint8_t* __restrict pixels,
                size_t count) {
  for (size_t i = 0; i < count; ++i) pixels[i] = Blend(pixels[i], other[i], alpha);
}

// Sharpens row y against ImageFilter.SMOOTH: a 3 x 3 window that counts the middle 5 times,
// rounded. Writes columns 1 to width - 2.
VIT_SIMD_CLONES
void SharpenRow(const uint8_t* __restrict above, const uint8_t* __restrict row,
                const uint8_t* __restrict below, int width, float factor, uint8_t* __restrict out) {
  for (int x = 1; x < width - 1; ++x) {
    const auto sum =
        static_cast<uint16_t>(above[x - 1] + above[x] + above[x + 1] + row[x - 1] + 5 * row[x] +
                              row[x + 1] + below[x - 1] + below[x] + below[x + 1]);
    const auto smooth = static_cast<uint16_t>(static_cast<uint16_t>(2 * sum + 13) / 26);
    out[x] = Blend(smooth, row[x], factor);
  }
}

VIT_SIMD_CLONES
void MaskBytes(uint8_t mask, uint8_t* pixels, size_t count) {
  for (size_t i = 0; i < count; ++i) pixels[i] &= mask;
}

VIT_SIMD_CLONES
void InvertFrom(int threshold, uint8_t* pixels, size_t count) {
  if (threshold > 255) return;
  const auto least = static_cast<uint8_t>(threshold);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t v = pixels[i];
    pixels[i] = v < least ? v : static_cast<uint8_t>(~v);
  }
}

VIT_SIMD_CLONES
void Extremes(const uint8_t* pixels, size_t count, uint8_t* low, uint8_t* high) {
  uint8_t smallest = 255;
  uint8_t greatest = 0;
  for (size_t i = 0; i < count; ++i) {
    smallest = std::min(smallest, pixels[i]);
    greatest = std::max(greatest, pixels[i]);
  }
  *low = smallest;
  *high = greatest;
}

// Counts in four histograms, so that equal neighbours do not wait for each other.
Histogram CountValues(const uint8_t* pixels, size_t count) {
  uint32_t counts[4][256] = {};
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) ++counts[lane][pixels[i + lane]];
  }
  for (; i < count; ++i) ++counts[0][pixels[i]];
  Histogram sum;
  for (size_t v = 0; v < 256; ++v) {
    sum[v] = counts[0][v] + counts[1][v] + counts[2][v] + counts[3][v];
  }
  return sum;
}

void EqualizePlane(uint8_t* pixels, size_t count) {
  const Histogram histogram = CountValues(pixels, count);
  int last = 255;
  while (last > 0 && histogram[last] == 0) --last;
  const uint32_t below_last = static_cast<uint32_t>(count) - histogram[last];
  const uint32_t step = below_last / 255;
  if (step == 0) return;  // only one value, or too few pixels to equalize
  Table table = {};
  uint32_t sum = step / 2;
  for (int v = 0; v <= last; ++v) {
    table[v] = static_cast<uint8_t>(std::min<uint32_t>(sum / step, 255));
    sum += histogram[v];
  }
  Apply(table, pixels, count);
}

void AutoContrastPlane(uint8_t* pixels, size_t count) {
  uint8_t low, high;
  Extremes(pixels, count, &low, &high);
  if (high <= low) return;
  const double scale = 255.0 / (high - low);
  const double offset = -low * scale;
  Table table = {};
  for (int v = low; v <= high; ++v) {
    table[v] = static_cast<uint8_t>(std::clamp(static_cast<int>(v * scale + offset), 0, 255));
  }
  Apply(table, pixels, count);
}

// Converts to Pillow's HSV and back, with its mix of single and double precision; adds `shift` to
// the hue, which wraps at 256.
VIT_SIMD_CLONES
void ShiftHue(int shift, uint8_t* __restrict reds, uint8_t* __restrict greens,
              uint8_t* __restrict blues, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const int r = reds[i];
    const int g = greens[i];
    const int b = blues[i];
    const int value = std::max(r, std::max(g, b));
    const int range = value - std::min(r, std::min(g, b));
    // Grey has neither hue nor saturation; any divisor works.
    const auto divisor = static_cast<float>(std::max(range, 1));
    const float rc = static_cast<float>(value - r) / divisor;
    const float gc = static_cast<float>(value - g) / divisor;
    const float bc = static_cast<float>(value - b) / divisor;
    const float from_red = bc - gc;
    const auto from_green = static_cast<float>(2.0 + rc - bc);
    const auto from_blue = static_cast<float>(4.0 + gc - rc);
    const float sixths = r == value ? from_red : (g == value ? from_green : from_blue);
    const double turned = sixths / 6.0 + 1.0;
    const auto hue = static_cast<float>(turned >= 1.0 ? turned - 1.0 : turned);
    const float part = static_cast<float>(range) / static_cast<float>(std::max(value, 1));
    const int h = (std::min(static_cast<int>(hue * 255.0), 255) + shift) & 255;
    const int s = std::min(static_cast<int>(part * 255.0), 255);

    const double position = h * 6.0 / 255.0;  // 0 to 6
    const int sector = static_cast<int>(position);
    const auto fraction = static_cast<float>(position - sector);
    const auto saturation = static_cast<float>(s / 255.0);
    const double v = value;
    const int p = CutOff(v * (1.0 - saturation) + 0.5);
    const int q = CutOff(v * (1.0 - saturation * fraction) + 0.5);
    const int t = CutOff(v * (1.0 - saturation * (1.0 - fraction)) + 0.5);
    // Without branches: each channel is the greatest value, or another one in some sectors. Sector
    // 6 equals sector 0.
    const auto in = [&](int which) { return -static_cast<int>(sector == which); };
    const int red =
        value + ((in(2) | in(3)) & (p - value)) + (in(1) & (q - value)) + (in(4) & (t - value));
    const int green = value + ((in(4) | in(5)) & (p - value)) + (in(3) & (q - value)) +
                      ((in(0) | in(6)) & (t - value));
    const int blue = value + ((in(0) | in(1) | in(6)) & (p - value)) + (in(5) & (q - value)) +
                     (in(2) & (t - value));
    reds[i] = static_cast<uint8_t>(red);
    greens[i] = static_cast<uint8_t>(green);
    blues[i] = static_cast<uint8_t>(blue);
  }
}

}  // namespace

void Brightness(double factor, const Planes& image) {
  BlendWithConstant(0, static_cast<float>(factor), image.data, image.size());
}

void Contrast(double factor, const Planes& image) {
  const size_t count = image.plane_size();
  const auto sum =
      static_cast<double>(SumOfLuma(image.plane(0), image.plane(1), image.plane(2), count));
  const int mean = CutOff(sum / static_cast<double>(count) + 0.5);
  BlendWithConstant(static_cast<float>(mean), static_cast<float>(factor), image.data, image.size());
}

void Color(double factor, const Planes& image) {
  BlendWithLuma(static_cast<float>(factor), image.plane(0), image.plane(1), image.plane(2),
                image.plane_size());
}

void Sharpness(double factor, const Planes& image, Scratch* scratch) {
  // The outermost pixels have no full window and stay unchanged.
  if (image.width < 3 || image.height < 3) return;
  uint8_t* source = scratch->Bytes(image.size());
  memcpy(source, image.data, image.size());
  const size_t stride = image.width;
  for (int channel = 0; channel < 3; ++channel) {
    uint8_t* out = image.plane(channel);
    const uint8_t* in = source + channel * image.plane_size();
    for (int y = 1; y < image.height - 1; ++y) {
      const uint8_t* row = in + y * stride;
      SharpenRow(row - stride, row, row + stride, image.width, static_cast<float>(factor),
                 out + y * stride);
    }
  }
}

void Posterize(int bits, const Planes& image) {
  const int dropped = 8 - std::clamp(bits, 0, 8);
  MaskBytes(static_cast<uint8_t>(0xFF << dropped), image.data, image.size());
}

void Solarize(double threshold, const Planes& image) {
  InvertFrom(static_cast<int>(std::clamp(std::ceil(threshold), 0.0, 256.0)), image.data,
             image.size());
}

void SolarizeAdd(int add, int threshold, const Planes& image) {
  Table table;
  for (int v = 0; v < 256; ++v) {
    table[v] = static_cast<uint8_t>(v < threshold ? std::clamp(v + add, 0, 255) : v);
  }
  Apply(table, image.data, image.size());
}

void Invert(const Planes& image) { InvertFrom(0, image.data, image.size()); }

void FlipDown(const Planes& image) {
  for (int channel = 0; channel < 3; ++channel) {
    uint8_t* top = image.plane(channel);
    uint8_t* bottom = top + image.plane_size() - image.width;
    for (; top < bottom; top += image.width, bottom -= image.width) {
      std::swap_ranges(top, top + image.width, bottom);
    }
  }
}

void AutoContrast(const Planes& image) {
  for (int channel = 0; channel < 3; ++channel) {
    AutoContrastPlane(image.plane(channel), image.plane_size());
  }
}

void Equalize(const Planes& image) {
  for (int channel = 0; channel < 3; ++channel) {
    EqualizePlane(image.plane(channel), image.plane_size());
  }
}

void Grayscale(const Planes& image) { Color(0, image); }

void Hue(double turn, const Planes& image) {
  ShiftHue(static_cast<int>(turn * 255), image.plane(0), image.plane(1), image.plane(2),
           image.plane_size());
}

void BlendInto(const uint8_t* other, float alpha, const Planes& image) {
  BlendBytes(other, alpha, image.data, image.size());
}

}  // namespace vit::augment
