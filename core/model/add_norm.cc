#include "core/model/add_norm.h"

#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <optional>

#include "core/base/simd_clones.h"
#include "core/model/row_chunks.h"
#include "core/model/vectors.h"

namespace vit {
namespace {

// What a kernel reads and writes of a run of rows of `size` values. B, Y: float or BFloat16Bits.
template <typename B, typename Y>
struct ForwardRows {
  int64_t rows, size;
  const float* x;
  const B* branch;  // null for none
  const float *branch_bias, *weight, *bias;
  float eps;
  float* sum;  // null where there is no branch
  Y* normalized;
  float *means, *scales;  // each row's mean, and 1 / sqrt(variance + eps)
};

template <typename B, typename Y>
VIT_SIMD_CLONES void Forward(ForwardRows<B, Y> r) {
  const auto size = static_cast<float>(r.size);
  for (int64_t row = 0; row < r.rows; ++row) {
    const float* sum = r.x;
    Floats total{};
    if (r.branch != nullptr) {
      for (int64_t i = 0; i < r.size; i += kLanes) {
        const Floats value = Load(r.x + i) + Load(r.branch + i) + Load(r.branch_bias + i);
        Store(value, r.sum + i);
        total += value;
      }
      sum = r.sum;
      r.branch += r.size;
      r.sum += r.size;
    } else {
      for (int64_t i = 0; i < r.size; i += kLanes) total += Load(sum + i);
    }
    const float mean = Total(total) / size;
    Floats squares{};
    for (int64_t i = 0; i < r.size; i += kLanes) {
      const Floats difference = Load(sum + i) - mean;
      squares += difference * difference;
    }
    const float scale = 1 / std::sqrt(Total(squares) / size + r.eps);
    for (int64_t i = 0; i < r.size; i += kLanes) {
      Store((Load(sum + i) - mean) * scale * Load(r.weight + i) + Load(r.bias + i),
            r.normalized + i);
    }
    r.means[row] = mean;
    r.scales[row] = scale;
    r.x += r.size;
    r.normalized += r.size;
  }
}

template <typename B, typename Y>
struct BackwardRows {
  int64_t rows, size;
  const float* sum;
  const float* weight;
  const float *means, *scales;
  const float* sum_gradient;  // null for zeros
  const Y* gradient;          // of what is normalised
  float* x_gradient;
  B* branch_gradient;                                             // null where that of x serves
  float *weight_gradient, *bias_gradient, *branch_bias_gradient;  // added to
};

template <typename B, typename Y>
VIT_SIMD_CLONES void Backward(BackwardRows<B, Y> r) {
  const auto size = static_cast<float>(r.size);
  for (int64_t row = 0; row < r.rows; ++row) {
    const float mean = r.means[row], scale = r.scales[row];
    Floats direct{}, along{};  // sums of the gradient, and of its product with the normalised value
    for (int64_t i = 0; i < r.size; i += kLanes) {
      const Floats gradient = Load(r.gradient + i);
      const Floats normal = (Load(r.sum + i) - mean) * scale;
      const Floats weighted = gradient * Load(r.weight + i);
      direct += weighted;
      along += weighted * normal;
      Store(Load(r.weight_gradient + i) + gradient * normal, r.weight_gradient + i);
      Store(Load(r.bias_gradient + i) + gradient, r.bias_gradient + i);
    }
    const float mean_direct = Total(direct) / size, mean_along = Total(along) / size;
    for (int64_t i = 0; i < r.size; i += kLanes) {
      const Floats normal = (Load(r.sum + i) - mean) * scale;
      Floats gradient =
          (Load(r.gradient + i) * Load(r.weight + i) - mean_direct - normal * mean_along) * scale;
      if (r.sum_gradient != nullptr) gradient += Load(r.sum_gradient + i);
      Store(gradient, r.x_gradient + i);
      Store(Load(r.branch_bias_gradient + i) + gradient, r.branch_bias_gradient + i);
      if (r.branch_gradient != nullptr) Store(gradient, r.branch_gradient + i);
    }
    r.sum += r.size;
    r.gradient += r.size;
    r.x_gradient += r.size;
    if (r.sum_gradient != nullptr) r.sum_gradient += r.size;
    if (r.branch_gradient != nullptr) r.branch_gradient += r.size;
  }
}

struct Forwarded {
  at::Tensor sum, normalized, means, scales;
};

Forwarded RunForward(const Residual& residual, const at::Tensor& weight, const at::Tensor& bias,
                     double eps, at::ScalarType type) {
  const auto& [x, added] = residual;
  const at::Tensor& branch = added.product;
  const int64_t size = x.size(-1), rows = x.numel() / size;
  Forwarded out = {.sum = branch.defined() ? at::empty_like(x) : x,
                   .normalized = at::empty_like(x, type),
                   .means = at::empty({rows}, at::kFloat),
                   .scales = at::empty({rows}, at::kFloat)};
  const at::Tensor branch_bias = added.bias.defined() ? added.bias : at::zeros({size}, at::kFloat);
  const at::ScalarType branch_type = branch.defined() ? branch.scalar_type() : at::kFloat;
  WithElement(branch_type, [&]<typename B>() {
    WithElement(type, [&]<typename Y>() {
      ForwardRows<B, Y> all = {.rows = rows,
                               .size = size,
                               .x = Elements<float>(x),
                               .branch = branch.defined() ? Elements<B>(branch) : nullptr,
                               .branch_bias = Elements<float>(branch_bias),
                               .weight = Elements<float>(weight),
                               .bias = Elements<float>(bias),
                               .eps = static_cast<float>(eps),
                               .sum = branch.defined() ? MutableElements<float>(out.sum) : nullptr,
                               .normalized = MutableElements<Y>(out.normalized),
                               .means = MutableElements<float>(out.means),
                               .scales = MutableElements<float>(out.scales)};
      ForEachChunk(rows, [&](int64_t, int64_t first, int64_t count) {
        ForwardRows<B, Y> r = all;
        r.rows = count;
        r.x += first * size;
        if (r.branch != nullptr) {
          r.branch += first * size;
          r.sum += first * size;
        }
        r.normalized += first * size;
        r.means += first;
        r.scales += first;
        Forward(r);
      });
    });
  });
  return out;
}

struct Gradients {
  at::Tensor x, branch, branch_bias, weight, bias;
};

// `sum_gradient` may be undefined. `branch_type`: Undefined where there is none.
Gradients RunBackward(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& means,
                      const at::Tensor& scales, const at::Tensor& sum_gradient,
                      const at::Tensor& gradient, at::ScalarType branch_type) {
  const int64_t size = sum.size(-1), rows = sum.numel() / size;
  const bool own_branch = branch_type == at::kBFloat16;
  Gradients out;
  out.x = at::empty_like(sum);
  if (branch_type == at::kFloat) out.branch = out.x;
  if (own_branch) out.branch = at::empty_like(sum, branch_type);
  const at::Tensor shares =  // of the chunks, in the gradients of weight and biases
      at::zeros({ChunkCount(rows), 3, size}, at::kFloat);
  WithElement(own_branch ? at::kBFloat16 : at::kFloat, [&]<typename B>() {
    WithElement(gradient.scalar_type(), [&]<typename Y>() {
      BackwardRows<B, Y> all = {
          .rows = rows,
          .size = size,
          .sum = Elements<float>(sum),
          .weight = Elements<float>(weight),
          .means = Elements<float>(means),
          .scales = Elements<float>(scales),
          .sum_gradient = sum_gradient.defined() ? Elements<float>(sum_gradient) : nullptr,
          .gradient = Elements<Y>(gradient),
          .x_gradient = MutableElements<float>(out.x),
          .branch_gradient = own_branch ? MutableElements<B>(out.branch) : nullptr,
          .weight_gradient = MutableElements<float>(shares),
          .bias_gradient = MutableElements<float>(shares) + size,
          .branch_bias_gradient = MutableElements<float>(shares) + 2 * size};
      ForEachChunk(rows, [&](int64_t chunk, int64_t first, int64_t count) {
        BackwardRows<B, Y> r = all;
        r.rows = count;
        r.sum += first * size;
        r.means += first;
        r.scales += first;
        if (r.sum_gradient != nullptr) r.sum_gradient += first * size;
        r.gradient += first * size;
        r.x_gradient += first * size;
        if (r.branch_gradient != nullptr) r.branch_gradient += first * size;
        r.weight_gradient += chunk * 3 * size;
        r.bias_gradient += chunk * 3 * size;
        r.branch_bias_gradient += chunk * 3 * size;
        Backward(r);
      });
    });
  });
  const at::Tensor summed = SumOfChunks(shares);
  out.weight = summed[0];
  out.bias = summed[1];
  out.branch_bias = summed[2];
  return out;
}

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
 public:
  // Returns {normalized, sum}, and without a branch {normalized}.
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context,
                                                const at::Tensor& x,
                                                const std::optional<at::Tensor>& product,
                                                const std::optional<at::Tensor>& branch_bias,
                                                const at::Tensor& weight, const at::Tensor& bias,
                                                double eps, at::ScalarType type) {
    const LinearOutput branch = {product.value_or(at::Tensor()),
                                 branch_bias.value_or(at::Tensor())};
    const Forwarded out = RunForward({x, branch}, weight, bias, eps, type);
    context->set_materialize_grads(false);
    context->save_for_backward({out.sum, weight, out.means, out.scales});
    context->saved_data["branch_type"] = static_cast<int64_t>(
        product.has_value() ? product->scalar_type() : at::ScalarType::Undefined);
    context->saved_data["has_branch_bias"] = branch_bias.has_value();
    if (product.has_value()) return {out.normalized, out.sum};
    return {out.normalized};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const bool has_branch_bias = context->saved_data["has_branch_bias"].toBool();
    const at::Tensor sum_gradient =
        gradients.size() > 1 && gradients[1].defined() ? gradients[1].contiguous() : at::Tensor();
    if (!gradients[0].defined()) {  // only the sum was used
      const at::Tensor of_bias = has_branch_bias && sum_gradient.defined()
                                     ? sum_gradient.flatten(0, -2).sum(0)
                                     : at::Tensor();
      return {sum_gradient, sum_gradient, of_bias, {}, {}, {}, {}};
    }
    const auto branch_type =
        static_cast<at::ScalarType>(context->saved_data["branch_type"].toInt());
    const Gradients out = RunBackward(saved[0], saved[1], saved[2], saved[3], sum_gradient,
                                      gradients[0].contiguous(), branch_type);
    return {out.x,      out.branch, has_branch_bias ? out.branch_bias : at::Tensor(),
            out.weight, out.bias,   {},
            {}};
  }
};

bool TakesKernel(const Residual& residual, const at::Tensor& weight, const at::Tensor& bias) {
  const auto& [x, branch] = residual;
  const auto fits = [](const at::Tensor& vector) {
    return !vector.defined() || (vector.scalar_type() == at::kFloat && vector.is_contiguous());
  };
  const bool product_fits = !branch.product.defined() ||
                            (branch.product.is_contiguous() && IsFloatOrBFloat16(branch.product) &&
                             branch.product.sizes() == x.sizes());
  return x.device().is_cpu() && x.is_contiguous() && x.scalar_type() == at::kFloat &&
         x.size(-1) % kLanes == 0 && product_fits && fits(branch.bias) && fits(weight) &&
         fits(bias);
}

std::optional<at::Tensor> Given(const at::Tensor& tensor) {
  return tensor.defined() ? std::make_optional(tensor) : std::nullopt;
}

}  // namespace

AddedAndNormalized AddNorm(const Residual& residual, const at::Tensor& weight,
                           const at::Tensor& bias, double eps, at::ScalarType type) {
  const auto& [x, branch] = residual;
  if (!TakesKernel(residual, weight, bias)) {
    const at::Tensor sum = residual.Value();
    return {sum, at::layer_norm(sum, weight.sizes(), weight, bias, eps)};
  }
  if (!AsksForGradient(x) && !AsksForGradient(branch.product) && !AsksForGradient(branch.bias) &&
      !AsksForGradient(weight) && !AsksForGradient(bias)) {
    const Forwarded out = RunForward(residual, weight, bias, eps, type);
    return {out.sum, out.normalized};
  }
  const auto out =
      AddNormFunction::apply(x, Given(branch.product), Given(branch.bias), weight, bias, eps, type);
  return {branch.product.defined() ? out[1] : x, out[0]};
}

}  // namespace vit
