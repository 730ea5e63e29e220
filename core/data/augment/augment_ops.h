// Operations on the colours of an image, each with the arithmetic of Pillow's operation of that
// name: results are equal byte for byte. They work in place on planes of bytes; the loops are
// written to be vectorised. docs/augmentation.md has the formulas.
#ifndef VIT_CORE_DATA_AUGMENT_AUGMENT_OPS_H_
#define VIT_CORE_DATA_AUGMENT_AUGMENT_OPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vit::augment {

// A view of an image, which it does not own: [3, height, width], red first, without gaps.
struct Planes {
  uint8_t* data = nullptr;
  int width = 0;
  int height = 0;

  size_t plane_size() const { return size_t{1} * width * height; }
  size_t size() const { return 3 * plane_size(); }
  uint8_t* plane(int channel) const { return data + channel * plane_size(); }
};

// Memory that the operations on one image share instead of allocating their own. Its contents do
// not outlive an operation. Not thread-safe.
class Scratch {
 public:
  uint8_t* Bytes(size_t count) { return bytes_.Grown(count); }
  uint8_t* MoreBytes(size_t count) { return more_bytes_.Grown(count); }
  float* Floats(size_t count) { return floats_.Grown(count); }

 private:
  template <typename T>
  class Buffer {
   public:
    T* Grown(size_t count) {
      if (size_ < count) {
        data_ = std::make_unique_for_overwrite<T[]>(count);
        size_ = count;
      }
      return data_.get();
    }

   private:
    std::unique_ptr<T[]> data_;
    size_t size_ = 0;
  };

  Buffer<uint8_t> bytes_;
  Buffer<uint8_t> more_bytes_;
  Buffer<float> floats_;
};

// ImageEnhance.Brightness, Contrast, Color and Sharpness: blend black, the mean grey, the grey
// image and the smoothed image, respectively, with the image itself. Factor 0 gives the former, 1
// the image; more than 1 exaggerates.
void Brightness(double factor, const Planes& image);
void Contrast(double factor, const Planes& image);
void Color(double factor, const Planes& image);
void Sharpness(double factor, const Planes& image, Scratch* scratch);

// ImageOps.posterize: keeps the `bits` highest bits; 8 and more keep all, 0 and less none (black).
void Posterize(int bits, const Planes& image);
// ImageOps.solarize: 255 - v for values from `threshold` up.
void Solarize(double threshold, const Planes& image);
// timm's SolarizeAdd: v + `add`, 255 at most, for values below `threshold`.
void SolarizeAdd(int add, int threshold, const Planes& image);
void Invert(const Planes& image);
// Mirrors top to bottom.
void FlipDown(const Planes& image);
// ImageOps.autocontrast: each channel's smallest value becomes 0, its greatest 255.
void AutoContrast(const Planes& image);
// ImageOps.equalize: each channel's histogram made even.
void Equalize(const Planes& image);
// convert("L"): ITU-R 601 luma in all three channels.
void Grayscale(const Planes& image);
// torchvision's adjust_hue for Pillow images: through Pillow's 8-bit HSV, where hue turns by
// `turn` of the circle, -0.5 to 0.5, in steps of 1/255.
void Hue(double turn, const Planes& image);

// Writes image + alpha * (other - image), rounded as Image.blend(image, other, alpha) does, to
// `image`. `other`: [3, height, width].
void BlendInto(const uint8_t* other, float alpha, const Planes& image);

}  // namespace vit::augment

#endif  // VIT_CORE_DATA_AUGMENT_AUGMENT_OPS_H_
