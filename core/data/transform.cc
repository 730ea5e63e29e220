#include "core/data/transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/data/resample.h"

namespace vit {
namespace {

using vit::v1::EvalTransform;
using vit::v1::Interpolation;
using vit::v1::TrainTransform;

// [side, side, 3] to [3, side, side], mirrored left to right where `flip`.
void WritePlanes(const uint8_t* rgb, size_t stride, int side, bool flip, uint8_t* out) {
  const size_t plane = size_t{1} * side * side;
  for (int y = 0; y < side; ++y) {
    const uint8_t* in = rgb + y * stride;
    uint8_t* red = out + size_t{1} * y * side;
    uint8_t* green = red + plane;
    uint8_t* blue = green + plane;
    if (flip) {
      for (int x = 0; x < side; ++x) {
        const uint8_t* pixel = in + size_t{3} * (side - 1 - x);
        red[x] = pixel[0];
        green[x] = pixel[1];
        blue[x] = pixel[2];
      }
    } else {
      for (int x = 0; x < side; ++x) {
        red[x] = in[3 * x];
        green[x] = in[3 * x + 1];
        blue[x] = in[3 * x + 2];
      }
    }
  }
}

// Size of a picture whose short side becomes `side`, the long one in proportion, rounded down
// (torchvision's Resize).
struct Size {
  int64_t width;
  int64_t height;
};
Size ShortSideTo(const ImageView& image, int64_t side) {
  if (image.width <= image.height) return {side, side * image.height / image.width};
  return {side * image.width / image.height, side};
}

// The part `region` of `image` resized to `size`, as [region.height, region.width, 3].
void ResizeRegion(const ImageView& image, const Size& size, Interpolation interpolation,
                  const Region& region, uint8_t* out) {
  const Box whole{0, 0, static_cast<double>(image.width), static_cast<double>(image.height)};
  ResampleRegion(image, size.width, size.height, interpolation, whole, region, out);
}

// timm's evaluation transform, optionally mirrored.
void CenterCrop(const ImageView& image, int image_size, const EvalTransform& transform,
                Interpolation interpolation, bool flip, uint8_t* out) {
  const auto side = static_cast<int64_t>(std::floor(image_size / transform.crop_pct()));
  const Size size = transform.crop_mode() == vit::v1::CROP_MODE_SQUASH ? Size{side, side}
                                                                       : ShortSideTo(image, side);
  // torchvision rounds halves to even, as Python does.
  const auto offset = [&](int64_t length) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(length - image_size) / 2));
  };
  const Region region{offset(size.width), offset(size.height), image_size, image_size};
  if (size.width == image.width && size.height == image.height) {
    const ImageView view = SubView(image, static_cast<int>(region.left),
                                   static_cast<int>(region.top), image_size, image_size);
    WritePlanes(view.rgb, view.stride, image_size, flip, out);
    return;
  }
  std::vector<uint8_t> resized(size_t{3} * image_size * image_size);
  ResizeRegion(image, size, interpolation, region, resized.data());
  WritePlanes(resized.data(), size_t{3} * image_size, image_size, flip, out);
}

// A random place of the picture, its short side resized to `image_size` and `padding` black pixels
// around it.
void RandomCrop(const ImageView& image, int image_size, int padding, Interpolation interpolation,
                CounterRandom* random, bool flip, uint8_t* out) {
  const Size size = ShortSideTo(image, image_size);
  const auto offset = [&](int64_t length) {
    return static_cast<int64_t>(random->UniformInt(length + 2 * padding - image_size + 1)) -
           padding;
  };
  const int64_t top = offset(size.height);
  const int64_t left = offset(size.width);
  // The part of the crop that is picture; the rest is padding.
  const int64_t first_row = std::max<int64_t>(top, 0);
  const int64_t first_column = std::max<int64_t>(left, 0);
  const int rows = static_cast<int>(std::min<int64_t>(top + image_size, size.height) - first_row);
  const int columns =
      static_cast<int>(std::min<int64_t>(left + image_size, size.width) - first_column);
  const size_t stride = size_t{3} * image_size;
  std::vector<uint8_t> cut(stride * image_size);
  if (rows > 0 && columns > 0) {
    const Region region{first_column, first_row, columns, rows};
    std::vector<uint8_t> resized;
    ImageView part;
    if (size.width == image.width && size.height == image.height) {
      part = SubView(image, static_cast<int>(first_column), static_cast<int>(first_row), columns,
                     rows);
    } else {
      resized.resize(size_t{3} * columns * rows);
      ResizeRegion(image, size, interpolation, region, resized.data());
      part = {resized.data(), columns, rows, size_t{3} * columns};
    }
    uint8_t* to = &cut[(first_row - top) * stride + 3 * (first_column - left)];
    for (int y = 0; y < rows; ++y) {
      memcpy(to + y * stride, part.rgb + y * part.stride, size_t{3} * columns);
    }
  }
  WritePlanes(cut.data(), stride, image_size, flip, out);
}

// The cut of torchvision's RandomResizedCrop: ten tries, then the largest centred one within the
// ratios.
Region RandomResizedRegion(const ImageView& image, const TrainTransform& train,
                           CounterRandom* random) {
  const double area = static_cast<double>(image.width) * image.height;
  const double log_ratio_min = std::log(train.ratio_min());
  const double log_ratio_max = std::log(train.ratio_max());
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random->Uniform(train.scale_min(), train.scale_max());
    const double ratio = std::exp(random->Uniform(log_ratio_min, log_ratio_max));
    const double width = std::nearbyint(std::sqrt(target * ratio));
    const double height = std::nearbyint(std::sqrt(target / ratio));
    if (width >= 1 && width <= image.width && height >= 1 && height <= image.height) {
      Region region{0, 0, static_cast<int>(width), static_cast<int>(height)};
      region.top = static_cast<int64_t>(random->UniformInt(image.height - region.height + 1));
      region.left = static_cast<int64_t>(random->UniformInt(image.width - region.width + 1));
      return region;
    }
  }
  Region region{0, 0, image.width, image.height};
  const double ratio = static_cast<double>(image.width) / image.height;
  if (ratio < train.ratio_min()) {
    region.height = static_cast<int>(std::nearbyint(image.width / train.ratio_min()));
  } else if (ratio > train.ratio_max()) {
    region.width = static_cast<int>(std::nearbyint(image.height * train.ratio_max()));
  }
  region.height = std::clamp(region.height, 1, image.height);
  region.width = std::clamp(region.width, 1, image.width);
  region.top = (image.height - region.height) / 2;
  region.left = (image.width - region.width) / 2;
  return region;
}

void RandomResizedCrop(const ImageView& image, int image_size, Interpolation interpolation,
                       const Region& region, bool flip, uint8_t* out) {
  const ImageView part = SubView(image, static_cast<int>(region.left), static_cast<int>(region.top),
                                 region.width, region.height);
  if (part.width == image_size && part.height == image_size) {
    WritePlanes(part.rgb, part.stride, image_size, flip, out);
    return;
  }
  std::vector<uint8_t> resized(size_t{3} * image_size * image_size);
  ResizeRegion(part, {image_size, image_size}, interpolation, {0, 0, image_size, image_size},
               resized.data());
  WritePlanes(resized.data(), size_t{3} * image_size, image_size, flip, out);
}

// Of this picture's crop. Specifications from before the field have only the data's.
Interpolation TrainInterpolation(const vit::v1::DataConfig& config, CounterRandom* random) {
  switch (config.train().interpolation()) {
    case vit::v1::INTERPOLATION_UNSPECIFIED:
      return config.interpolation();
    case vit::v1::INTERPOLATION_RANDOM:
      return random->Bernoulli(0.5) ? vit::v1::INTERPOLATION_BICUBIC
                                    : vit::v1::INTERPOLATION_BILINEAR;
    default:
      return config.train().interpolation();
  }
}

}  // namespace

Image Resize(const Image& image, int width, int height, Interpolation interpolation,
             const Box& box) {
  Image out{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  ResampleRegion(ViewOf(image), width, height, interpolation, box, {0, 0, width, height},
                 out.rgb.data());
  return out;
}

Image Resize(const Image& image, int width, int height, Interpolation interpolation) {
  return Resize(image, width, height, interpolation,
                {0, 0, static_cast<double>(image.width), static_cast<double>(image.height)});
}

void EvalTransformImage(const Image& image, int image_size, const EvalTransform& transform,
                        Interpolation interpolation, absl::Span<uint8_t> out) {
  CenterCrop(ViewOf(image), image_size, transform, interpolation, /*flip=*/false, out.data());
}

void TrainTransformImage(const Image& image, int image_size, const vit::v1::DataConfig& config,
                         const Augmenter& augmenter, CounterRandom* random,
                         absl::Span<uint8_t> out) {
  const ImageView view = ViewOf(image);
  const TrainTransform& train = config.train();
  // Drawn first, so that it does not depend on how many numbers the crop takes.
  const bool flip = random->Bernoulli(train.horizontal_flip());
  const bool flip_down = train.vertical_flip() > 0 && random->Bernoulli(train.vertical_flip());
  const Interpolation interpolation = TrainInterpolation(config, random);
  switch (train.crop()) {
    case vit::v1::TRAIN_CROP_RANDOM:
      RandomCrop(view, image_size, train.padding(), interpolation, random, flip, out.data());
      break;
    case vit::v1::TRAIN_CROP_RANDOM_RESIZED:
      RandomResizedCrop(view, image_size, interpolation, RandomResizedRegion(view, train, random),
                        flip, out.data());
      break;
    default:
      CenterCrop(view, image_size, config.eval(), interpolation, flip, out.data());
  }
  const augment::Planes planes = {out.data(), image_size, image_size};
  if (flip_down) augment::FlipDown(planes);
  augmenter.Apply(random, planes);
}

}  // namespace vit
