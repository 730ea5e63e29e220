// Operations that move the pixels of an image, with the arithmetic of Pillow's Image.transform and
// Image.rotate: results are equal byte for byte.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_GEOMETRY_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_GEOMETRY_H_

#include <array>
#include <cstdint>

#include "core/data/augment/augment_ops.h"

namespace vit::augment {

// How values between pixels are interpolated.
enum class Resampling { kNearest, kBilinear, kBicubic };

// How a geometric operation draws: its interpolation, and the colour for pixels from outside the
// image.
struct Canvas {
  Resampling resampling = Resampling::kBicubic;
  std::array<uint8_t, 3> fill = {0, 0, 0};
};

// Where the pixel at (x, y) comes from: (a x + b y + c, d x + e y + f).
struct Affine {
  double a = 1, b = 0, c = 0;
  double d = 0, e = 1, f = 0;
};

// image.transform(image.size, AFFINE, ..., fillcolor); not antialiased.
void Transform(const Affine& from, const Canvas& canvas, const Planes& image, Scratch* scratch);

// image.rotate(degrees): counterclockwise about the centre; the size does not change.
void Rotate(double degrees, const Canvas& canvas, const Planes& image, Scratch* scratch);

// Shears as timm and torchvision do: rows (columns) move by `factor` for each pixel down (across).
Affine ShearX(double factor);
Affine ShearY(double factor);
// Moves the image to the left (up) by `pixels`.
Affine TranslateX(double pixels);
Affine TranslateY(double pixels);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_GEOMETRY_H_
