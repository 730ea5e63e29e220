#include "core/data/augment/augment_geometry.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

namespace vit::augment {
namespace {

// The channels of one pixel, computed in pairs: red and green, blue and an unused one. Every
// processor of the architecture has vectors of 16 bytes.
using FloatPair = float __attribute__((vector_size(8)));
using Pair = double __attribute__((vector_size(16)));
struct Values {
  Pair red_green;
  Pair blue;
};

// The copy of the image to read from: [height, width, 4].
struct Source {
  const float* pixels;
  int width;
  int height;

  const float* row(int y) const {
    return pixels + size_t{4} * width * std::clamp(y, 0, height - 1);
  }
  size_t column(int x) const { return size_t{4} * std::clamp(x, 0, width - 1); }
};

Source Interleave(const Planes& image, Scratch* scratch) {
  const size_t count = image.plane_size();
  float* pixels = scratch->Floats(4 * count);
  const uint8_t* red = image.plane(0);
  const uint8_t* green = image.plane(1);
  const uint8_t* blue = image.plane(2);
  for (size_t i = 0; i < count; ++i) {
    pixels[4 * i] = red[i];
    pixels[4 * i + 1] = green[i];
    pixels[4 * i + 2] = blue[i];
    pixels[4 * i + 3] = 0;
  }
  return {pixels, image.width, image.height};
}

inline void Load(const float* at, Values* values) {
  FloatPair red_green, blue;
  memcpy(&red_green, at, sizeof(red_green));
  memcpy(&blue, at + 2, sizeof(blue));
  values->red_green = __builtin_convertvector(red_green, Pair);
  values->blue = __builtin_convertvector(blue, Pair);
}

// A position between pixels: the pixel at or before it, and the distance from that pixel, 0 to 1.
struct Place {
  int first;
  double part;
};
inline Place PlaceOf(double position) {
  position -= 0.5;  // a pixel's value is at its centre
  const int first =
      position < 0 ? static_cast<int>(std::floor(position)) : static_cast<int>(position);
  return {first, position - first};
}

// Linear interpolation between two pixels.
struct Linear {
  static constexpr int kTaps = 2;
  static constexpr int kBefore = 0;
  static Pair Mix(Pair v0, Pair v1, double t) { return v0 + (v1 - v0) * t; }
  static void Mix(const Values (&v)[kTaps], double t, Values* out) {
    out->red_green = Mix(v[0].red_green, v[1].red_green, t);
    out->blue = Mix(v[0].blue, v[1].blue, t);
  }
};

// Cubic interpolation over four pixels; the slope at the middle two is the difference of their
// neighbours (a = -1).
struct Cubic {
  static constexpr int kTaps = 4;
  static constexpr int kBefore = 1;
  static Pair Mix(Pair v0, Pair v1, Pair v2, Pair v3, double t) {
    const Pair slope = -v0 + v2;
    const Pair square = 2 * (v0 - v1) + v2 - v3;
    const Pair cube = -v0 + v1 - v2 + v3;
    return v1 + t * (slope + t * (square + t * cube));
  }
  static void Mix(const Values (&v)[kTaps], double t, Values* out) {
    out->red_green = Mix(v[0].red_green, v[1].red_green, v[2].red_green, v[3].red_green, t);
    out->blue = Mix(v[0].blue, v[1].blue, v[2].blue, v[3].blue, t);
  }
};

template <typename Kernel>
inline void AlongRow(const float* row, const size_t (&columns)[Kernel::kTaps], double t,
                     Values* out) {
  Values taps[Kernel::kTaps];
  for (int i = 0; i < Kernel::kTaps; ++i) Load(row + columns[i], &taps[i]);
  Kernel::Mix(taps, t, out);
}

// Computes the value at (x, y). At t = 0 a kernel returns its pixel exactly, so an image that moves
// along one axis needs no sum along the other.
template <typename Kernel, bool kAcross, bool kDown>
inline void Sample(const Source& source, const Place& x, const Place& y, Values* out) {
  size_t columns[Kernel::kTaps];
  for (int i = 0; i < Kernel::kTaps; ++i) columns[i] = source.column(x.first - Kernel::kBefore + i);
  if constexpr (!kDown) {
    AlongRow<Kernel>(source.row(y.first), columns, x.part, out);
  } else {
    Values taps[Kernel::kTaps];
    for (int i = 0; i < Kernel::kTaps; ++i) {
      const float* row = source.row(y.first - Kernel::kBefore + i);
      if constexpr (kAcross) {
        AlongRow<Kernel>(row, columns, x.part, &taps[i]);
      } else {
        Load(row + columns[Kernel::kBefore], &taps[i]);
      }
    }
    Kernel::Mix(taps, y.part, out);
  }
}

inline uint8_t ToByte(double value) {
  value = value < 0 ? 0 : value;
  value = value > 255 ? 255 : value;
  return static_cast<uint8_t>(static_cast<int>(value));
}

template <typename Kernel, bool kAcross, bool kDown>
void Interpolate(const Affine& from, const Canvas& canvas, const Source& source,
                 const Planes& image) {
  const int width = image.width;
  const int height = image.height;
  uint8_t* red = image.plane(0);
  uint8_t* green = image.plane(1);
  uint8_t* blue = image.plane(2);
  for (int row = 0; row < height; ++row) {
    const double v = row + 0.5;
    for (int column = 0; column < width; ++column, ++red, ++green, ++blue) {
      const double u = column + 0.5;
      const double x = from.a * u + from.b * v + from.c;
      const double y = from.d * u + from.e * v + from.f;
      if (!(x >= 0 && x < width && y >= 0 && y < height)) {
        *red = canvas.fill[0];
        *green = canvas.fill[1];
        *blue = canvas.fill[2];
        continue;
      }
      Values values;
      Sample<Kernel, kAcross, kDown>(source, PlaceOf(x), PlaceOf(y), &values);
      *red = ToByte(values.red_green[0]);
      *green = ToByte(values.red_green[1]);
      *blue = ToByte(values.blue[0]);
    }
  }
}

template <typename Kernel>
void Interpolate(const Affine& from, const Canvas& canvas, const Source& source,
                 const Planes& image) {
  const bool keeps_rows = from.d == 0 && from.e == 1 && from.f == 0;
  const bool keeps_columns = from.a == 1 && from.b == 0 && from.c == 0;
  if (keeps_rows) {
    Interpolate<Kernel, true, false>(from, canvas, source, image);
  } else if (keeps_columns) {
    Interpolate<Kernel, false, true>(from, canvas, source, image);
  } else {
    Interpolate<Kernel, true, true>(from, canvas, source, image);
  }
}

// Copies the pixel at (x, y) of the source to index `to`, or the fill colour if it is outside.
inline void CopyPixel(const Planes& source, int64_t x, int64_t y, const Canvas& canvas,
                      const Planes& image, size_t to) {
  const bool inside = x >= 0 && x < source.width && y >= 0 && y < source.height;
  for (int channel = 0; channel < 3; ++channel) {
    image.plane(channel)[to] =
        inside ? source.plane(channel)[y * source.width + x] : canvas.fill[channel];
  }
}

// Pillow's method without shear or rotation: positions are accumulated.
void NearestScaled(const Affine& from, const Canvas& canvas, const Planes& source,
                   const Planes& image) {
  const auto index = [](double position) {
    return position < 0 ? int64_t{-1} : static_cast<int64_t>(position);
  };
  size_t to = 0;
  double y = from.f + from.e * 0.5;
  for (int row = 0; row < image.height; ++row, y += from.e) {
    double x = from.c + from.a * 0.5;
    for (int column = 0; column < image.width; ++column, x += from.a, ++to) {
      CopyPixel(source, index(x), index(y), canvas, image, to);
    }
  }
}

// Pillow's method otherwise: positions in fixed point with 16 fractional bits.
void NearestFixed(const Affine& from, const Canvas& canvas, const Planes& source,
                  const Planes& image) {
  const auto fix = [](double v) { return static_cast<int64_t>(std::floor(v * 65536.0 + 0.5)); };
  const int64_t a = fix(from.a), b = fix(from.b), d = fix(from.d), e = fix(from.e);
  int64_t row_x = fix(from.c + from.a * 0.5 + from.b * 0.5);
  int64_t row_y = fix(from.f + from.d * 0.5 + from.e * 0.5);
  size_t to = 0;
  for (int row = 0; row < image.height; ++row, row_x += b, row_y += e) {
    int64_t x = row_x;
    int64_t y = row_y;
    for (int column = 0; column < image.width; ++column, x += a, y += d, ++to) {
      CopyPixel(source, x >> 16, y >> 16, canvas, image, to);
    }
  }
}

// Rounds to 15 decimals, as Python's round(v, 15) does, unaffected by the product's own rounding.
double Round15(double v) {
  const double scaled = v * 1e15;
  double whole = std::nearbyint(scaled);
  const double rest = (scaled - whole) + std::fma(v, 1e15, -scaled);
  if (rest > 0.5) whole += 1;
  if (rest < -0.5) whole -= 1;
  return whole / 1e15;
}

Planes Copy(const Planes& image, Scratch* scratch) {
  uint8_t* copy = scratch->Bytes(image.size());
  memcpy(copy, image.data, image.size());
  return {copy, image.width, image.height};
}

// Rotates by a multiple of 90 degrees, counterclockwise; 90 and 270 need a square image.
void QuarterTurns(int turns, const Planes& image, Scratch* scratch) {
  const Planes source = Copy(image, scratch);
  const int width = image.width;
  const int height = image.height;
  for (int channel = 0; channel < 3; ++channel) {
    const uint8_t* in = source.plane(channel);
    uint8_t* out = image.plane(channel);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x, ++in) {
        const int row = turns == 1 ? width - 1 - x : turns == 2 ? height - 1 - y : x;
        const int column = turns == 1 ? y : turns == 2 ? width - 1 - x : height - 1 - y;
        out[size_t{1} * row * width + column] = *in;
      }
    }
  }
}

}  // namespace

void Transform(const Affine& from, const Canvas& canvas, const Planes& image, Scratch* scratch) {
  switch (canvas.resampling) {
    case Resampling::kBilinear:
      Interpolate<Linear>(from, canvas, Interleave(image, scratch), image);
      return;
    case Resampling::kBicubic:
      Interpolate<Cubic>(from, canvas, Interleave(image, scratch), image);
      return;
    case Resampling::kNearest:
      if (from.b == 0 && from.d == 0) {
        NearestScaled(from, canvas, Copy(image, scratch), image);
      } else {
        NearestFixed(from, canvas, Copy(image, scratch), image);
      }
  }
}

void Rotate(double degrees, const Canvas& canvas, const Planes& image, Scratch* scratch) {
  degrees = std::fmod(degrees, 360);
  if (degrees < 0) degrees += 360;
  if (degrees == 0) return;
  if (degrees == 180 || (image.width == image.height && (degrees == 90 || degrees == 270))) {
    QuarterTurns(static_cast<int>(degrees) / 90, image, scratch);
    return;
  }
  const double angle = -(degrees * (std::numbers::pi / 180));
  Affine from;
  from.a = from.e = Round15(std::cos(angle));
  from.b = Round15(std::sin(angle));
  from.d = Round15(-std::sin(angle));
  const double x = image.width / 2.0;
  const double y = image.height / 2.0;
  from.c = from.a * -x + from.b * -y + x;
  from.f = from.d * -x + from.e * -y + y;
  Transform(from, canvas, image, scratch);
}

Affine ShearX(double factor) { return {.b = factor}; }
Affine ShearY(double factor) { return {.d = factor}; }
Affine TranslateX(double pixels) { return {.c = pixels}; }
Affine TranslateY(double pixels) { return {.f = pixels}; }

}  // namespace vit::augment
