// Gaussian blurs, as Pillow and as torchvision compute them.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_BLUR_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_BLUR_H_

#include "core/data/augment/augment_ops.h"

namespace vit::augment {

// ImageFilter.GaussianBlur(radius): three box blurs in each direction, edges repeated, rounded to
// bytes after each; equals Pillow's byte for byte. `radius` is the standard deviation in pixels.
void PillowGaussianBlur(double radius, const Planes& image, Scratch* scratch);

// torchvision's gaussian_blur with a window of kernel_size x kernel_size, which is odd: mirrored
// edges, single precision, rounded at the end. A window wider than the image, which torchvision
// rejects, mirrors it repeatedly.
void GaussianBlur(int kernel_size, double sigma, const Planes& image, Scratch* scratch);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_BLUR_H_
