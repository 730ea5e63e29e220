#include "core/model/gelu.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "core/base/simd_clones.h"
#include "core/model/exp.h"
#include "core/model/row_chunks.h"
#include "core/model/vectors.h"

namespace vit {
namespace {

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

// `bias` may be null. T: float, or at::BFloat16, which is computed in float.
template <typename T>
VIT_SIMD_CLONES void Forward(const T* x, const float* bias, T* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = bias == nullptr ? static_cast<float>(x[i]) : x[i] + bias[i];
    y[i] = value * StandardNormal(value).cumulative;
  }
}

template <typename T>
VIT_SIMD_CLONES void ForwardWithDerivative(const T* x, const float* bias, T* y, T* derivative,
                                           int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float value = bias == nullptr ? static_cast<float>(x[i]) : x[i] + bias[i];
    const Normal normal = StandardNormal(value);
    y[i] = value * normal.cumulative;
    derivative[i] = normal.cumulative + value * 0.39894228f * normal.exponential;
  }
}

// Writes the gradients of `rows` rows of x, and adds their sum to that of the bias.
template <typename T>
VIT_SIMD_CLONES void Backward(const T* gradient, const T* derivative, T* x_gradient,
                              float* bias_gradient, int64_t rows, int64_t size) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < size; ++i) {
      const float value = static_cast<float>(gradient[i]) * static_cast<float>(derivative[i]);
      x_gradient[i] = value;
      bias_gradient[i] += value;
    }
    gradient += size;
    derivative += size;
    x_gradient += size;
  }
}

// `bias` and `derivative`: undefined for none.
at::Tensor RunForward(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& derivative) {
  constexpr int64_t kFlatRow = 256;  // without a bias: values per piece of work
  at::Tensor y = at::empty_like(x);
  const int64_t size = bias.defined() ? bias.numel() : kFlatRow;
  const float* const shift = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  WithElement(x.scalar_type(), [&]<typename T>() {
    const T* const in = x.const_data_ptr<T>();
    T* const out = y.data_ptr<T>();
    T* const slope = derivative.defined() ? derivative.data_ptr<T>() : nullptr;
    const auto run = [&](int64_t first, int64_t count) {
      if (slope == nullptr) return Forward(in + first, shift, out + first, count);
      ForwardWithDerivative(in + first, shift, out + first, slope + first, count);
    };
    ForEachChunk((x.numel() + size - 1) / size, [&](int64_t, int64_t row, int64_t rows) {
      if (shift == nullptr) return run(row * size, std::min(rows * size, x.numel() - row * size));
      for (int64_t i = row; i < row + rows; ++i) run(i * size, size);
    });
  });
  return y;
}

class GeluFunction : public torch::autograd::Function<GeluFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& bias) {
    const at::Tensor derivative = at::empty_like(x);
    at::Tensor y = RunForward(x, bias.value_or(at::Tensor()), derivative);
    context->save_for_backward({derivative});
    context->saved_data["has_bias"] = bias.has_value();
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor derivative = context->get_saved_variables()[0];
    if (!context->saved_data["has_bias"].toBool()) return {gradients[0] * derivative, {}};
    const at::Tensor gradient = gradients[0].contiguous(), out = at::empty_like(derivative);
    const int64_t size = derivative.size(-1), rows = derivative.numel() / size;
    const at::Tensor shares = at::zeros({ChunkCount(rows), size}, at::kFloat);
    float* const share = shares.data_ptr<float>();
    WithElement(derivative.scalar_type(), [&]<typename T>() {
      const T* const from = gradient.const_data_ptr<T>();
      const T* const slope = derivative.const_data_ptr<T>();
      T* const to = out.data_ptr<T>();
      ForEachChunk(rows, [&](int64_t chunk, int64_t first, int64_t count) {
        Backward(from + first * size, slope + first * size, to + first * size, share + chunk * size,
                 count, size);
      });
    });
    return {out, SumOfChunks(shares)};
  }
};

bool TakesKernel(const at::Tensor& x) {
  return x.device().is_cpu() && x.is_contiguous() && IsFloatOrBFloat16(x);
}

}  // namespace

at::Tensor Gelu(const at::Tensor& x) {
  if (!TakesKernel(x)) return at::gelu(x);
  return AsksForGradient(x) ? GeluFunction::apply(x, std::nullopt) : RunForward(x, {}, {});
}

at::Tensor Gelu(const LinearOutput& x) {
  if (!x.bias.defined()) return Gelu(x.product);
  if (!TakesKernel(x.product) || x.bias.scalar_type() != at::kFloat) return Gelu(x.Value());
  return AsksForGradient(x.product) || AsksForGradient(x.bias)
             ? GeluFunction::apply(x.product, x.bias)
             : RunForward(x.product, x.bias, {});
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
