#include "core/data/sources/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/data/per_split.h"
#include "core/data/sources/fingerprint.h"

namespace vit {
namespace {

constexpr std::array<const char*, 10> kNames = {"arrow", "circle", "crescent", "cross", "frame",
                                                "heart", "ring",   "square",   "star",  "triangle"};

using Color = std::array<float, 3>;  // red green blue, 0..255

// One image's random choices.
struct Scene {
  float x, y;    // centre, as parts of the side
  float radius;  // as a part of the side
  float angle;   // radians, clockwise
  Color fill;
  Color ground[2];  // the ground fades from one to the other
  float ground_angle;
  float noise;  // greatest change of a channel
  uint64_t noise_seed;
};

Color RandomColor(CounterRandom* random, double low, double high) {
  Color color;
  for (float& channel : color) channel = static_cast<float>(random->Uniform(low, high));
  return color;
}

float Contrast(const Color& a, const Color& b) {
  return std::fabs(a[0] - b[0]) + std::fabs(a[1] - b[1]) + std::fabs(a[2] - b[2]);
}

Scene RandomScene(bool hard, CounterRandom* random) {
  constexpr double kPi = std::numbers::pi;
  Scene scene;
  scene.x = static_cast<float>(0.5 + random->Uniform(-0.09, 0.09));
  scene.y = static_cast<float>(0.5 + random->Uniform(-0.09, 0.09));
  scene.radius = static_cast<float>(random->Uniform(0.30, 0.44));
  const double most = hard ? kPi : kPi * 25 / 180;
  scene.angle = static_cast<float>(random->Uniform(-most, most));
  scene.ground_angle = static_cast<float>(random->Uniform(-kPi, kPi));
  scene.noise = static_cast<float>(random->Uniform(0, 14));
  scene.noise_seed = random->NextUint64();
  if (!hard) {
    scene.ground[0] = RandomColor(random, 0, 90);
    scene.ground[1] = RandomColor(random, 0, 90);
    scene.fill = RandomColor(random, 140, 255);
    return scene;
  }
  // Any colours, as long as the shape can be seen.
  constexpr float kLeastContrast = 150;
  scene.ground[0] = RandomColor(random, 0, 255);
  scene.ground[1] = RandomColor(random, 0, 255);
  do {
    scene.fill = RandomColor(random, 0, 255);
  } while (Contrast(scene.fill, scene.ground[0]) < kLeastContrast ||
           Contrast(scene.fill, scene.ground[1]) < kLeastContrast);
  return scene;
}

inline float Max(float a, float b) { return a > b ? a : b; }
inline float Min(float a, float b) { return a < b ? a : b; }
inline float Abs(float a) { return std::fabs(a); }
inline float Length(float x, float y) { return std::sqrt(x * x + y * y); }

// Signed distances (negative inside, near enough to true ones at the edge) of shapes that fill the
// unit circle; y points down. Free of branches, so that rows vectorise.
struct Arrow {
  float operator()(float x, float y) const {
    const float head = Max(-x, (0.8f * x + Abs(y) - 0.8f) * 0.7809f);
    const float shaft = Max(Abs(x + 0.45f) - 0.55f, Abs(y) - 0.28f);
    return Min(head, shaft);
  }
};
struct Circle {
  float operator()(float x, float y) const { return Length(x, y) - 1; }
};
struct Crescent {
  float operator()(float x, float y) const {
    return Max(Length(x, y) - 1, 0.75f - Length(x - 0.5f, y));
  }
};
struct Cross {
  float operator()(float x, float y) const {
    return Min(Max(Abs(x) - 0.95f, Abs(y) - 0.3f), Max(Abs(x) - 0.3f, Abs(y) - 0.95f));
  }
};
struct Frame {
  float operator()(float x, float y) const { return Abs(Max(Abs(x), Abs(y)) - 0.62f) - 0.2f; }
};
struct Heart {
  // A square on its corner and a circle on each of its upper sides.
  float operator()(float x, float y) const {
    constexpr float kHalf = 0.8f;
    constexpr float kRoot = 0.70711f;
    y -= 0.09f;
    const float square = (Abs(x) + Abs(y) - kHalf) * kRoot;
    const float lobe = Length(Abs(x) - kHalf / 2, y + kHalf / 2) - kHalf * kRoot;
    return Min(square, lobe);
  }
};
struct Ring {
  float operator()(float x, float y) const { return Abs(Length(x, y) - 0.78f) - 0.22f; }
};
struct Square {
  float operator()(float x, float y) const { return Max(Abs(x), Abs(y)) - 0.8f; }
};
struct Star {
  // Five points; mirrored into one half point, whose edge is a line.
  float operator()(float x, float y) const {
    constexpr float kCos36 = 0.809017f, kSin36 = 0.587785f;
    constexpr float kInner = 0.42f;
    x = Abs(x);
    const float fold1 = 2 * Max(kCos36 * x + kSin36 * y, 0.f);
    x -= fold1 * kCos36;
    y -= fold1 * kSin36;
    const float fold2 = 2 * Max(-kCos36 * x + kSin36 * y, 0.f);
    x += fold2 * kCos36;
    y -= fold2 * kSin36;
    x = Abs(x);
    // The edge from the point (0, -1) to the notch at 36 degrees, kInner from the centre.
    constexpr float kEdgeX = kInner * kSin36, kEdgeY = 1 - kInner * kCos36;
    constexpr float kInverseLength = 1.41872f;  // 1 / |(kEdgeX, kEdgeY)|
    return (x * kEdgeY - (y + 1) * kEdgeX) * kInverseLength;
  }
};
struct Triangle {
  float operator()(float x, float y) const {
    return Max(y - 0.5f, 0.866025f * Abs(x) - 0.5f * y - 0.5f);
  }
};

// Computes how much of each pixel of a row lies in the shape, 0..1. (x, y) is the first pixel's
// centre in the shape's own frame, (dx, dy) the step to the next pixel, `pixels` the pixels per
// unit.
template <typename Distance>
void CoverRow(float x, float y, float dx, float dy, float pixels, int count, float* coverage) {
  for (int i = 0; i < count; ++i) {
    const float at = static_cast<float>(i);
    const float distance = Distance()(x + at * dx, y + at * dy) * pixels;
    coverage[i] = Min(Max(0.5f - distance, 0.f), 1.f);
  }
}
using CoverFunction = void (*)(float, float, float, float, float, int, float*);
constexpr std::array<CoverFunction, 10> kCover = {
    CoverRow<Arrow>, CoverRow<Circle>, CoverRow<Crescent>, CoverRow<Cross>, CoverRow<Frame>,
    CoverRow<Heart>, CoverRow<Ring>,   CoverRow<Square>,   CoverRow<Star>,  CoverRow<Triangle>};

// SplitMix64 (Steele, Lea and Flood, 2014): noise needs many bytes and little quality.
uint64_t NextNoise(uint64_t* state) {
  uint64_t z = (*state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

Image Draw(int shape, const Scene& scene, int side) {
  Image image{side, side, std::vector<uint8_t>(size_t{3} * side * side)};
  const float pixels = scene.radius * static_cast<float>(side);
  const float cosine = std::cos(scene.angle) / pixels;
  const float sine = std::sin(scene.angle) / pixels;
  const float ground_x = std::cos(scene.ground_angle) / (1.42f * static_cast<float>(side));
  const float ground_y = std::sin(scene.ground_angle) / (1.42f * static_cast<float>(side));
  const float half = static_cast<float>(side) / 2;
  std::vector<float> coverage(side);
  std::vector<uint8_t> noise((size_t{3} * side + 7) / 8 * 8);
  uint64_t noise_state = scene.noise_seed;
  for (int row = 0; row < side; ++row) {
    const float px = 0.5f - scene.x * static_cast<float>(side);
    const float py = static_cast<float>(row) + 0.5f - scene.y * static_cast<float>(side);
    kCover[shape](cosine * px + sine * py, cosine * py - sine * px, cosine, -sine, pixels, side,
                  coverage.data());
    for (size_t i = 0; i < noise.size(); i += 8) {
      const uint64_t bits = NextNoise(&noise_state);
      memcpy(&noise[i], &bits, 8);
    }
    uint8_t* out = &image.rgb[size_t{3} * row * side];
    const float ground_row = 0.5f + (static_cast<float>(row) - half) * ground_y;
    for (int c = 0; c < 3; ++c) {
      const float from = scene.ground[0][c];
      const float step = scene.ground[1][c] - from;
      const float fill = scene.fill[c];
      for (int i = 0; i < side; ++i) {
        const float t = ground_row + (static_cast<float>(i) - half) * ground_x;
        const float ground = from + step * t;
        const float grain = (static_cast<float>(noise[3 * i + c]) * (2.f / 255) - 1) * scene.noise;
        const float value = ground + coverage[i] * (fill - ground) + grain;
        out[3 * i + c] = static_cast<uint8_t>(Min(Max(value + 0.5f, 0.f), 255.f));
      }
    }
  }
  return image;
}

class Shapes : public DataSet {
 public:
  Shapes(bool hard, uint64_t seed, int64_t train_size, int64_t val_size, int side)
      : DataSet(Facts(hard, seed, train_size, val_size, side)),
        hard_(hard),
        seed_(seed),
        sizes_{train_size, val_size} {}

  int64_t size(DataSplit split) const override { return sizes_[split]; }
  int64_t label(DataSplit, int64_t index) const override {
    return index % static_cast<int64_t>(kNames.size());
  }
  std::string name(DataSplit split, int64_t index) const override {
    return absl::StrCat(hard_ ? "shapes:hard" : "shapes:",
                        split == DataSplit::kTrain ? "train" : "val", ":", index);
  }
  absl::StatusOr<ImagePart> LoadPart(DataSplit split, int64_t index,
                                     const PixelRequest& request) const override {
    const uint64_t stream = (hard_ ? 2 : 0) + (split == DataSplit::kTrain ? 0 : 1);
    CounterRandom random(seed_, RandomPurpose::kShapes, stream, index);
    return WholePart(
        Draw(static_cast<int>(label(split, index)), RandomScene(hard_, &random), native_size()),
        request);
  }

 private:
  static DataSetFacts Facts(bool hard, uint64_t seed, int64_t train_size, int64_t val_size,
                            int side) {
    Fingerprint fingerprint;
    fingerprint.Add(hard ? "shapes:hard" : "shapes:");
    fingerprint.Add(static_cast<int64_t>(seed));
    fingerprint.Add(train_size);
    fingerprint.Add(val_size);
    fingerprint.Add(side);
    for (const char* name : kNames) fingerprint.Add(name);
    return {.class_names = {kNames.begin(), kNames.end()},
            .native_size = side,
            .fingerprint = fingerprint.Hex()};
  }

  const bool hard_;
  const uint64_t seed_;
  const PerSplit<int64_t> sizes_;
};

}  // namespace

std::shared_ptr<const DataSet> OpenShapes(bool hard, const vit::v1::ShapesConfig& config,
                                          int image_size) {
  return std::make_shared<Shapes>(hard, config.seed(), config.train_size(), config.val_size(),
                                  image_size);
}

}  // namespace vit
