// Two passes, across then down, each a weighted sum in fixed point with 22 fractional bits that is
// rounded to a byte: the arithmetic of Pillow's Resample.c, whose results are reproduced bit for
// bit.
#include "core/data/image/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/simd_clones.h"

namespace vit {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr int32_t kHalf = 1 << (kPrecisionBits - 1);

struct Filter {
  double (*weight)(double x);
  double support;
};

double BilinearWeight(double x) {
  x = std::fabs(x);
  return x < 1 ? 1 - x : 0;
}

double BicubicWeight(double x) {
  constexpr double kA = -0.5;
  x = std::fabs(x);
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0;
}

Filter FilterFor(vit::v1::Interpolation interpolation) {
  return interpolation == vit::v1::INTERPOLATION_BILINEAR ? Filter{BilinearWeight, 1}
                                                          : Filter{BicubicWeight, 2};
}

// The source positions that make up each output position along one axis, and their weights.
struct Taps {
  struct Range {
    int first;
    int count;
  };
  std::vector<Range> ranges;
  std::vector<int32_t> weights;  // `stride` per range
  int stride = 0;

  int begin() const { return ranges.front().first; }
  int end() const {
    const Range& last = ranges.back();
    return last.first + last.count;
  }
  const int32_t* weights_of(int i) const { return &weights[size_t{1} * i * stride]; }
};

// Truncates. Pillow rounds by adding a half and truncating.
int CutOff(double x) { return static_cast<int>(x); }

// Computes the taps of positions first .. first + count - 1 of `out_size`, over [low, high) of an
// axis of `in_size`.
Taps MakeTaps(int in_size, float low, float high, int64_t out_size, int64_t first, int count,
              const Filter& filter) {
  const double scale = static_cast<double>(high - low) / static_cast<double>(out_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter.support * filter_scale;
  const double inverse = 1.0 / filter_scale;
  Taps taps;
  taps.stride = static_cast<int>(std::min<double>(std::ceil(support) * 2 + 1, in_size));
  taps.ranges.resize(count);
  taps.weights.resize(size_t{1} * count * taps.stride);
  std::vector<double> exact(taps.stride);
  for (int i = 0; i < count; ++i) {
    const double center = low + (static_cast<double>(first + i) + 0.5) * scale;
    const int begin = std::max(CutOff(center - support + 0.5), 0);
    const int end = std::min(CutOff(center + support + 0.5), in_size);
    const int n = std::max(end - begin, 0);
    double sum = 0;
    for (int x = 0; x < n; ++x) {
      exact[x] = filter.weight((x + begin - center + 0.5) * inverse);
      sum += exact[x];
    }
    int32_t* weights = &taps.weights[size_t{1} * i * taps.stride];
    for (int x = 0; x < n; ++x) {
      const double weight = sum != 0 ? exact[x] / sum : exact[x];
      const double scaled = weight * (1 << kPrecisionBits);
      weights[x] = CutOff(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    }
    taps.ranges[i] = {begin, n};
  }
  return taps;
}

// Rows are resampled in groups, transposed so that the rows of a group lie side by side: neighbours
// in memory then share their weights, as they do in the pass down.
constexpr int kGroup = 16;

inline uint8_t ToByte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

// `turned`: [columns, 3, kGroup]. Writes [kGroup, taps.ranges.size(), 3], rows `out_stride` bytes
// apart.
VIT_SIMD_CLONES
void ResampleGroupAcross(const uint8_t* turned, const Taps::Range* ranges, const int32_t* weights,
                         int weight_stride, int count, int origin, int rows, uint8_t* out,
                         size_t out_stride) {
  constexpr int kLanes = 3 * kGroup;
  for (int i = 0; i < count; ++i, weights += weight_stride) {
    int32_t sums[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] = kHalf;
    const uint8_t* in = turned + size_t{kLanes} * (ranges[i].first - origin);
    for (int tap = 0; tap < ranges[i].count; ++tap, in += kLanes) {
      const int32_t weight = weights[tap];
      for (int lane = 0; lane < kLanes; ++lane) sums[lane] += weight * in[lane];
    }
    uint8_t bytes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) bytes[lane] = ToByte(sums[lane]);
    for (int row = 0; row < rows; ++row) {
      uint8_t* pixel = out + row * out_stride + size_t{3} * i;
      pixel[0] = bytes[row];
      pixel[1] = bytes[kGroup + row];
      pixel[2] = bytes[2 * kGroup + row];
    }
  }
}

// Transposes [rows, columns, 3] to [columns, 3, kGroup]; leaves the places of missing rows
// unchanged.
void TurnGroup(const uint8_t* in, size_t stride, int rows, int columns, uint8_t* turned) {
  for (int row = 0; row < rows; ++row) {
    const uint8_t* from = in + row * stride;
    uint8_t* to = turned + row;
    for (int i = 0; i < 3 * columns; ++i) to[size_t{kGroup} * i] = from[i];
  }
}

// Resamples rows [first_row, first_row + rows) of `image` across: [rows, taps.ranges.size(), 3].
std::vector<uint8_t> ResampleAcross(const ImageView& image, const Taps& taps, int first_row,
                                    int rows) {
  const int width = static_cast<int>(taps.ranges.size());
  const int begin = taps.begin();
  const int columns = taps.end() - begin;
  const size_t out_stride = size_t{3} * width;
  std::vector<uint8_t> out(out_stride * rows);
  std::vector<uint8_t> turned(size_t{3} * kGroup * columns);
  for (int row = 0; row < rows; row += kGroup) {
    const int n = std::min(kGroup, rows - row);
    TurnGroup(image.rgb + (first_row + row) * image.stride + size_t{3} * begin, image.stride, n,
              columns, turned.data());
    ResampleGroupAcross(turned.data(), taps.ranges.data(), taps.weights.data(), taps.stride, width,
                        begin, n, &out[row * out_stride], out_stride);
  }
  return out;
}

// Computes one row: the weighted sum of `count` rows of `bytes` bytes each, `stride` apart.
VIT_SIMD_CLONES
void ResampleRowDown(const uint8_t* in, size_t stride, const int32_t* weights, int count, int bytes,
                     uint8_t* out) {
  constexpr int kLanes = 64;
  int at = 0;
  for (; at + kLanes <= bytes; at += kLanes) {
    int32_t sums[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) sums[lane] = kHalf;
    const uint8_t* row = in + at;
    for (int tap = 0; tap < count; ++tap, row += stride) {
      const int32_t weight = weights[tap];
      for (int lane = 0; lane < kLanes; ++lane) sums[lane] += weight * row[lane];
    }
    for (int lane = 0; lane < kLanes; ++lane) out[at + lane] = ToByte(sums[lane]);
  }
  for (; at < bytes; ++at) {
    int32_t sum = kHalf;
    for (int tap = 0; tap < count; ++tap) sum += weights[tap] * in[at + tap * stride];
    out[at] = ToByte(sum);
  }
}

}  // namespace

void ResampleRegion(const ImageView& image, int64_t width, int64_t height,
                    vit::v1::Interpolation interpolation, const Box& box, const Region& region,
                    uint8_t* out) {
  const Filter filter = FilterFor(interpolation);
  // Pillow keeps a box in single precision.
  const float left = static_cast<float>(box.left);
  const float top = static_cast<float>(box.top);
  const float right = static_cast<float>(box.right);
  const float bottom = static_cast<float>(box.bottom);
  const bool across = width != image.width || left != 0 || right != static_cast<float>(width);
  const bool down = height != image.height || top != 0 || bottom != static_cast<float>(height);

  Taps vertical;
  int first_row = static_cast<int>(region.top);
  int rows = region.height;
  if (down) {
    vertical = MakeTaps(image.height, top, bottom, height, region.top, region.height, filter);
    first_row = vertical.begin();
    rows = vertical.end() - first_row;
  }

  ImageView source = image;
  int column = static_cast<int>(region.left);
  std::vector<uint8_t> resampled;
  if (across) {
    const Taps horizontal =
        MakeTaps(image.width, left, right, width, region.left, region.width, filter);
    resampled = ResampleAcross(image, horizontal, first_row, rows);
    source = {resampled.data(), region.width, rows, size_t{3} * region.width};
    column = 0;
  } else {
    source = SubView(image, 0, first_row, image.width, rows);
  }

  const int bytes = 3 * region.width;
  const uint8_t* in = source.rgb + size_t{3} * column;
  for (int y = 0; y < region.height; ++y) {
    uint8_t* to = out + size_t{1} * y * bytes;
    if (down) {
      const Taps::Range& range = vertical.ranges[y];
      ResampleRowDown(in + (range.first - first_row) * source.stride, source.stride,
                      vertical.weights_of(y), range.count, bytes, to);
    } else {
      memcpy(to, in + y * source.stride, bytes);
    }
  }
}

}  // namespace vit
