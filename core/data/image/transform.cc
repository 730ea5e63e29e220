#include "core/data/image/transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/data/image/resample.h"

namespace vit {
namespace {

using vit::v1::EvalTransform;
using vit::v1::Interpolation;
using vit::v1::TrainTransform;

// Converts [side, side, 3] to [3, side, side], mirrored left to right if `flip` is set.
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

// Size of an image whose short side becomes `side`, the long one in proportion, rounded down
// (torchvision's Resize).
struct Size {
  int64_t width;
  int64_t height;
};
Size ShortSideTo(int width, int height, int64_t side) {
  if (width <= height) return {side, side * height / width};
  return {side * width / height, side};
}

// Computes `region` of `image` resized to `size`, as [region.height, region.width, 3].
void ResizeRegion(const ImageView& image, const Size& size, Interpolation interpolation,
                  const Region& region, uint8_t* out) {
  const Box whole{0, 0, static_cast<double>(image.width), static_cast<double>(image.height)};
  ResampleRegion(image, size.width, size.height, interpolation, whole, region, out);
}

// timm's evaluation transform, optionally mirrored.
void CenterCrop(const ImageView& image, int image_size, const EvalTransform& transform,
                Interpolation interpolation, bool flip, uint8_t* out) {
  const int64_t side = EvalResizeSide(image_size, transform);
  const Size size = transform.crop_mode() == vit::v1::CROP_MODE_SQUASH
                        ? Size{side, side}
                        : ShortSideTo(image.width, image.height, side);
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

// Cuts out the place that `draw` gives, after resizing the image's short side to `image_size` and
// adding black pixels around it.
void RandomCrop(const ImageView& image, int image_size, const TrainDraw& draw, uint8_t* out) {
  const Size size = ShortSideTo(image.width, image.height, image_size);
  // The part of the crop that is image; the rest is padding.
  const int64_t first_row = std::max<int64_t>(draw.top, 0);
  const int64_t first_column = std::max<int64_t>(draw.left, 0);
  const int rows =
      static_cast<int>(std::min<int64_t>(draw.top + image_size, size.height) - first_row);
  const int columns =
      static_cast<int>(std::min<int64_t>(draw.left + image_size, size.width) - first_column);
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
      ResizeRegion(image, size, draw.interpolation, region, resized.data());
      part = {resized.data(), columns, rows, size_t{3} * columns};
    }
    uint8_t* to = &cut[(first_row - draw.top) * stride + 3 * (first_column - draw.left)];
    for (int y = 0; y < rows; ++y) {
      memcpy(to + y * stride, part.rgb + y * part.stride, size_t{3} * columns);
    }
  }
  WritePlanes(cut.data(), stride, image_size, draw.flip, out);
}

// Draws the crop of torchvision's RandomResizedCrop: ten tries, then the largest centred one within
// the ratios.
Region RandomResizedRegion(int whole_width, int whole_height, const TrainTransform& train,
                           CounterRandom* random) {
  const double area = static_cast<double>(whole_width) * whole_height;
  const double log_ratio_min = std::log(train.ratio_min());
  const double log_ratio_max = std::log(train.ratio_max());
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random->Uniform(train.scale_min(), train.scale_max());
    const double ratio = std::exp(random->Uniform(log_ratio_min, log_ratio_max));
    const double width = std::nearbyint(std::sqrt(target * ratio));
    const double height = std::nearbyint(std::sqrt(target / ratio));
    if (width >= 1 && width <= whole_width && height >= 1 && height <= whole_height) {
      Region region{0, 0, static_cast<int>(width), static_cast<int>(height)};
      region.top = static_cast<int64_t>(random->UniformInt(whole_height - region.height + 1));
      region.left = static_cast<int64_t>(random->UniformInt(whole_width - region.width + 1));
      return region;
    }
  }
  Region region{0, 0, whole_width, whole_height};
  const double ratio = static_cast<double>(whole_width) / whole_height;
  if (ratio < train.ratio_min()) {
    region.height = static_cast<int>(std::nearbyint(whole_width / train.ratio_min()));
  } else if (ratio > train.ratio_max()) {
    region.width = static_cast<int>(std::nearbyint(whole_height * train.ratio_max()));
  }
  region.height = std::clamp(region.height, 1, whole_height);
  region.width = std::clamp(region.width, 1, whole_width);
  region.top = (whole_height - region.height) / 2;
  region.left = (whole_width - region.width) / 2;
  return region;
}

// Resizes the whole of `cut`.
void RandomResizedCrop(const ImageView& cut, int image_size, const TrainDraw& draw, uint8_t* out) {
  if (cut.width == image_size && cut.height == image_size) {
    WritePlanes(cut.rgb, cut.stride, image_size, draw.flip, out);
    return;
  }
  std::vector<uint8_t> resized(size_t{3} * image_size * image_size);
  ResizeRegion(cut, {image_size, image_size}, draw.interpolation, {0, 0, image_size, image_size},
               resized.data());
  WritePlanes(resized.data(), size_t{3} * image_size, image_size, draw.flip, out);
}

// The interpolation of this image's crop. Specifications from before the field existed have only
// the data's.
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

int64_t EvalResizeSide(int image_size, const EvalTransform& transform) {
  return static_cast<int64_t>(std::floor(image_size / transform.crop_pct()));
}

void EvalTransformImage(const Image& image, int image_size, const EvalTransform& transform,
                        Interpolation interpolation, absl::Span<uint8_t> out) {
  CenterCrop(ViewOf(image), image_size, transform, interpolation, /*flip=*/false, out.data());
}

TrainDraw DrawTrainTransform(int width, int height, int image_size,
                             const vit::v1::DataConfig& config, CounterRandom* random) {
  const TrainTransform& train = config.train();
  TrainDraw draw;
  // Drawn first, so that it does not depend on how many numbers the crop takes.
  draw.flip = random->Bernoulli(train.horizontal_flip());
  draw.flip_down = train.vertical_flip() > 0 && random->Bernoulli(train.vertical_flip());
  draw.interpolation = TrainInterpolation(config, random);
  draw.source = {0, 0, width, height};
  if (train.crop() == vit::v1::TRAIN_CROP_RANDOM_RESIZED) {
    draw.source = RandomResizedRegion(width, height, train, random);
  } else if (train.crop() == vit::v1::TRAIN_CROP_RANDOM) {
    const Size size = ShortSideTo(width, height, image_size);
    const int64_t padding = train.padding();
    const auto offset = [&](int64_t length) {
      return static_cast<int64_t>(random->UniformInt(length + 2 * padding - image_size + 1)) -
             padding;
    };
    draw.top = offset(size.height);
    draw.left = offset(size.width);
  }
  return draw;
}

void TrainTransformPart(const Image& part, const TrainDraw& draw, int image_size,
                        const vit::v1::DataConfig& config, const Augmenter& augmenter,
                        CounterRandom* random, absl::Span<uint8_t> out) {
  const ImageView view =
      SubView(ViewOf(part), static_cast<int>(draw.source.left), static_cast<int>(draw.source.top),
              draw.source.width, draw.source.height);
  switch (config.train().crop()) {
    case vit::v1::TRAIN_CROP_RANDOM:
      RandomCrop(view, image_size, draw, out.data());
      break;
    case vit::v1::TRAIN_CROP_RANDOM_RESIZED:
      RandomResizedCrop(view, image_size, draw, out.data());
      break;
    default:
      CenterCrop(view, image_size, config.eval(), draw.interpolation, draw.flip, out.data());
  }
  const augment::Planes planes = {out.data(), image_size, image_size};
  if (draw.flip_down) augment::FlipDown(planes);
  augmenter.Apply(random, planes);
}

void TrainTransformImage(const Image& image, int image_size, const vit::v1::DataConfig& config,
                         const Augmenter& augmenter, CounterRandom* random,
                         absl::Span<uint8_t> out) {
  const TrainDraw draw = DrawTrainTransform(image.width, image.height, image_size, config, random);
  TrainTransformPart(image, draw, image_size, config, augmenter, random, out);
}

}  // namespace vit
