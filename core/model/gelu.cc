#include "core/model/gelu.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "core/base/simd_clones.h"

namespace vit {
namespace {

// exp(y) for y <= 0, within 2 units of the last place: 2^n * exp(r) with r in +-ln(2) / 2.
inline float ExpOfNegative(float y) {
  y = y < -87.0f ? -87.0f : y;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = y * 1.44269504f + kRound;
  const float n = shifted - kRound;
  float r = y - n * 0.693359375f;
  r += n * 2.12194440e-4f;
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  return p * std::bit_cast<float>((exponent + 127) << 23);
}

// Phi(x) and exp(-x^2 / 2). The complementary error function by formula 7.1.26 of Abramowitz and
// Stegun, whose error is at most 1.5e-7; it shares its exponential with the normal density.
struct Normal {
  float cumulative, exponential;
};
inline Normal StandardNormal(float x) {
  const float e = ExpOfNegative(-0.5f * x * x);
  const float t = 1.0f / (1.0f + 0.3275911f * 0.70710678f * std::fabs(x));
  const float polynomial =
      t * (0.254829592f +
           t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  const float tail = 0.5f * polynomial * e;
  return {x < 0 ? tail : 1.0f - tail, e};
}

VIT_SIMD_CLONES void Forward(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] * StandardNormal(x[i]).cumulative;
}

VIT_SIMD_CLONES void ForwardWithDerivative(const float* x, float* y, float* derivative,
                                           int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const Normal normal = StandardNormal(x[i]);
    y[i] = x[i] * normal.cumulative;
    derivative[i] = normal.cumulative + x[i] * 0.39894228f * normal.exponential;
  }
}

constexpr int64_t kGrain = 16384;

class GeluFunction : public torch::autograd::Function<GeluFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x) {
    const at::Tensor y = at::empty_like(x), derivative = at::empty_like(x);
    const float* const in = x.const_data_ptr<float>();
    float* const out = y.data_ptr<float>();
    float* const slope = derivative.data_ptr<float>();
    at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      ForwardWithDerivative(in + begin, out + begin, slope + begin, end - begin);
    });
    context->save_for_backward({derivative});
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    return {gradients[0] * context->get_saved_variables()[0]};
  }
};

}  // namespace

at::Tensor Gelu(const at::Tensor& x) {
  if (!x.device().is_cpu() || x.scalar_type() != at::kFloat || !x.is_contiguous())
    return at::gelu(x);
  if (at::GradMode::is_enabled() && x.requires_grad()) return GeluFunction::apply(x);
  const at::Tensor y = at::empty_like(x);
  const float* const in = x.const_data_ptr<float>();
  float* const out = y.data_ptr<float>();
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    Forward(in + begin, out + begin, end - begin);
  });
  return y;
}

at::Tensor Activate(const at::Tensor& x, vit::v1::Activation activation) {
  switch (activation) {
    case vit::v1::ACTIVATION_GELU_TANH:
      return at::gelu(x, "tanh");
    case vit::v1::ACTIVATION_QUICK_GELU:  // x sigmoid(1.702 x), keeping one tensor for the gradient
      return at::silu(x * 1.702) / 1.702;
    default:
      return Gelu(x);
  }
}

}  // namespace vit
