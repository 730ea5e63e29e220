// Draws a policy's random choices and applies them.
#include "core/data/augment/augment_apply.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/base/simd_clones.h"
#include "core/data/augment/augment_blur.h"

namespace vit::augment {
namespace {

// Draws positive numbers that sum to 1 from a symmetric Dirichlet distribution.
std::vector<float> DrawShares(int count, double alpha, CounterRandom* random) {
  std::vector<double> draws(count);
  double sum = 0;
  for (double& draw : draws) sum += draw = random->Gamma(alpha);
  // With a tiny alpha all may underflow to 0.
  if (sum == 0) sum = draws[0] = 1;
  std::vector<float> shares(count);
  for (int i = 0; i < count; ++i) shares[i] = static_cast<float>(draws[i] / sum);
  return shares;
}

double DrawMagnitude(const Policy& policy, double magnitude, CounterRandom* random) {
  if (policy.magnitude_uniform) {
    magnitude = random->Uniform(0, magnitude);
  } else if (policy.magnitude_std > 0) {
    magnitude += policy.magnitude_std * random->Normal();
  }
  return std::clamp(magnitude, 0.0, policy.magnitude_max);
}

// Applies a policy to one image.
class Run {
 public:
  Run(const Policy& policy, const PolicyCanvas& canvas, CounterRandom* random, Scratch* scratch)
      : policy_(policy), canvas_(canvas), random_(random), scratch_(scratch) {}

  void Apply(const Planes& image) {
    switch (policy_.kind) {
      case Policy::Kind::kNone:
        return;
      case Policy::Kind::kSubPolicies:
        for (const PolicyStep& step : Any(policy_.sub_policies)) ApplyStep(step, image);
        return;
      case Policy::Kind::kRandAugment:
        if (policy_.weights.empty()) {
          for (int i = 0; i < policy_.count; ++i) ApplyStep(Any(policy_.steps), image);
        } else {
          ApplyWeighted(image);
        }
        return;
      case Policy::Kind::kTrivial: {
        const PolicyStep& step = Any(policy_.steps);
        const auto magnitudes = static_cast<uint64_t>(policy_.levels) + 1;
        ApplyAt(step, static_cast<double>(random_->UniformInt(magnitudes)), image);
        return;
      }
      case Policy::Kind::kAugMix:
        AugMix(image);
    }
  }

 private:
  template <typename T>
  const T& Any(const std::vector<T>& choices) {
    return choices[random_->UniformInt(choices.size())];
  }

  void ApplyStep(const PolicyStep& step, const Planes& image) {
    if (!random_->Bernoulli(step.probability)) return;
    ApplyAt(step, DrawMagnitude(policy_, step.magnitude, random_), image);
  }

  void ApplyAt(const PolicyStep& step, double magnitude, const Planes& image) {
    const LeveledOperation& operation = *step.operation;
    const double sign = operation.has_sign && random_->Bernoulli(0.5) ? -1 : 1;
    const LevelContext context = {image.width, policy_.translate_part};
    Canvas canvas = canvas_.canvas;
    if (canvas_.draw_resampling) {
      canvas.resampling = random_->Bernoulli(0.5) ? Resampling::kBicubic : Resampling::kBilinear;
    }
    ApplyOperation(operation.operation,
                   operation.argument(magnitude / policy_.levels, sign, context), canvas, random_,
                   image, scratch_);
  }

  // Draws without replacement.
  void ApplyWeighted(const Planes& image) {
    std::vector<double> weights = policy_.weights;
    double sum = 1;
    for (int i = 0; i < policy_.count; ++i) {
      double left = random_->Uniform() * sum;
      size_t chosen = 0;
      for (size_t at = 0; at < weights.size(); ++at) {
        if (weights[at] == 0) continue;
        chosen = at;  // the last one if rounding leaves a remainder
        left -= weights[at];
        if (left < 0) break;
      }
      sum -= weights[chosen];
      weights[chosen] = 0;
      ApplyStep(policy_.steps[chosen], image);
    }
  }

  // Applies a random chain of steps to `original` and writes the result to `chain`.
  void DrawChain(const std::vector<uint8_t>& original, const Planes& chain) {
    memcpy(chain.data, original.data(), original.size());
    const int depth =
        policy_.depth > 0 ? policy_.depth : 1 + static_cast<int>(random_->UniformInt(3));
    for (int i = 0; i < depth; ++i) ApplyStep(Any(policy_.steps), chain);
  }

  void AugMix(const Planes& image);

  const Policy& policy_;
  const PolicyCanvas& canvas_;
  CounterRandom* const random_;
  Scratch* const scratch_;
};

VIT_SIMD_CLONES
void AddWeighted(const uint8_t* __restrict in, float weight, size_t count, float* __restrict sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += weight * static_cast<float>(in[i]);
}

VIT_SIMD_CLONES
void CutToBytes(const float* __restrict in, size_t count, uint8_t* __restrict out) {
  for (size_t i = 0; i < count; ++i) {
    const float value = in[i] > 255 ? 255 : in[i];
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(value));
  }
}

// The weight with which each chain is blended in, so that chain i ends up with weight shares[i] *
// part.
std::vector<float> BlendingWeights(const std::vector<float>& shares, float part) {
  std::vector<float> weights(shares.size());
  float left = 1;
  for (size_t i = shares.size(); i-- > 0;) {
    weights[i] = left > 0 ? std::min(shares[i] * part / left, 1.0F) : 0;
    left *= 1 - weights[i];
  }
  return weights;
}

void Run::AugMix(const Planes& image) {
  const std::vector<float> shares = DrawShares(policy_.width, policy_.alpha, random_);
  const float part = DrawShares(2, policy_.alpha, random_)[0];  // a beta distribution
  const std::vector<uint8_t> original(image.data, image.data + image.size());
  std::vector<uint8_t> pixels(image.size());
  const Planes chain = {pixels.data(), image.width, image.height};
  if (policy_.blended) {
    for (const float weight : BlendingWeights(shares, part)) {
      DrawChain(original, chain);
      BlendInto(chain.data, weight, image);
    }
    return;
  }
  std::vector<float> sums(image.size());
  for (const float share : shares) {
    DrawChain(original, chain);
    AddWeighted(chain.data, share, image.size(), sums.data());
  }
  CutToBytes(sums.data(), image.size(), chain.data);
  BlendInto(chain.data, part, image);
}

}  // namespace

void ApplyOperation(Operation operation, double argument, const Canvas& canvas,
                    CounterRandom* random, const Planes& image, Scratch* scratch) {
  switch (operation) {
    case Operation::kIdentity:
      return;
    case Operation::kAutoContrast:
      return AutoContrast(image);
    case Operation::kEqualize:
      return Equalize(image);
    case Operation::kInvert:
      return Invert(image);
    case Operation::kRotate:
      return Rotate(argument, canvas, image, scratch);
    case Operation::kPosterize:
      return Posterize(static_cast<int>(argument), image);
    case Operation::kSolarize:
      return Solarize(argument, image);
    case Operation::kSolarizeAdd:
      return SolarizeAdd(static_cast<int>(argument), 128, image);
    case Operation::kColor:
      return Color(argument, image);
    case Operation::kContrast:
      return Contrast(argument, image);
    case Operation::kBrightness:
      return Brightness(argument, image);
    case Operation::kSharpness:
      return Sharpness(argument, image, scratch);
    case Operation::kShearX:
      return Transform(ShearX(argument), canvas, image, scratch);
    case Operation::kShearY:
      return Transform(ShearY(argument), canvas, image, scratch);
    case Operation::kTranslateX:
      return Transform(TranslateX(argument), canvas, image, scratch);
    case Operation::kTranslateY:
      return Transform(TranslateY(argument), canvas, image, scratch);
    case Operation::kTranslateXPart:
      return Transform(TranslateX(argument * image.width), canvas, image, scratch);
    case Operation::kTranslateYPart:
      return Transform(TranslateY(argument * image.height), canvas, image, scratch);
    case Operation::kGaussianBlur:
      return PillowGaussianBlur(argument, image, scratch);
    case Operation::kGaussianBlurUpTo:
      return PillowGaussianBlur(random->Uniform(0.1, 2 * argument), image, scratch);
  }
}

void ApplyPolicy(const Policy& policy, const PolicyCanvas& canvas, CounterRandom* random,
                 const Planes& image, Scratch* scratch) {
  Run(policy, canvas, random, scratch).Apply(image);
}

}  // namespace vit::augment
