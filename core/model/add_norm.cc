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

// What the kernels read and write: matrices of rows of `size` values. B: the type of the branch, Y:
// that of the normalised values.
template <typename B, typename Y>
struct ForwardPass {
  int64_t size;
  const float* x;
  const B* branch;  // null for none
  const float *branch_bias, *weight, *bias;
  float eps;
  float* sum;  // null without a branch
  Y* normalized;
  float *means, *scales;  // each row's mean, and 1 / sqrt(variance + eps)
};

template <typename B, typename Y>
VIT_SIMD_CLONES void Forward(const ForwardPass<B, Y>& p, int64_t first, int64_t rows) {
  const auto size = static_cast<float>(p.size);
  for (int64_t row = first; row < first + rows; ++row) {
    const int64_t begin = row * p.size;
    Floats total{};
    if (p.branch != nullptr) {
      for (int64_t i = 0; i < p.size; i += kLanes) {
        const Floats value =
            Load(p.x + begin + i) + Load(p.branch + begin + i) + Load(p.branch_bias + i);
        Store(value, p.sum + begin + i);
        total += value;
      }
    } else {
      for (int64_t i = 0; i < p.size; i += kLanes) total += Load(p.x + begin + i);
    }
    const float* const sum = p.branch != nullptr ? p.sum + begin : p.x + begin;
    const float mean = Total(total) / size;
    Floats squares{};
    for (int64_t i = 0; i < p.size; i += kLanes) {
      const Floats difference = Load(sum + i) - mean;
      squares += difference * difference;
    }
    const float scale = 1 / std::sqrt(Total(squares) / size + p.eps);
    for (int64_t i = 0; i < p.size; i += kLanes) {
      Store((Load(sum + i) - mean) * scale * Load(p.weight + i) + Load(p.bias + i),
            p.normalized + begin + i);
    }
    p.means[row] = mean;
    p.scales[row] = scale;
  }
}

template <typename B, typename Y>
struct BackwardPass {
  int64_t size;
  const float* sum;
  const float* weight;
  const float *means, *scales;
  const float* sum_gradient;  // null for zeros
  const Y* gradient;          // of the normalised values
  float* x_gradient;
  B* branch_gradient;  // null if it is that of x
};

// Adds to `share`: the gradients of weight, bias and branch bias, [3, size].
template <typename B, typename Y>
VIT_SIMD_CLONES void Backward(const BackwardPass<B, Y>& p, int64_t first, int64_t rows,
                              float* share) {
  const auto size = static_cast<float>(p.size);
  float* const weight_gradient = share;
  float* const bias_gradient = share + p.size;
  float* const branch_bias_gradient = share + 2 * p.size;
  for (int64_t row = first; row < first + rows; ++row) {
    const int64_t begin = row * p.size;
    const float* const sum = p.sum + begin;
    const Y* const row_gradient = p.gradient + begin;
    const float mean = p.means[row], scale = p.scales[row];
    Floats direct{}, along{};  // sums of the gradient, and of its product with the normalised value
    for (int64_t i = 0; i < p.size; i += kLanes) {
      const Floats gradient = Load(row_gradient + i);
      const Floats normal = (Load(sum + i) - mean) * scale;
      const Floats weighted = gradient * Load(p.weight + i);
      direct += weighted;
      along += weighted * normal;
      Store(Load(weight_gradient + i) + gradient * normal, weight_gradient + i);
      Store(Load(bias_gradient + i) + gradient, bias_gradient + i);
    }
    const float mean_direct = Total(direct) / size, mean_along = Total(along) / size;
    for (int64_t i = 0; i < p.size; i += kLanes) {
      const Floats normal = (Load(sum + i) - mean) * scale;
      Floats gradient =
          (Load(row_gradient + i) * Load(p.weight + i) - mean_direct - normal * mean_along) * scale;
      if (p.sum_gradient != nullptr) gradient += Load(p.sum_gradient + begin + i);
      Store(gradient, p.x_gradient + begin + i);
      Store(Load(branch_bias_gradient + i) + gradient, branch_bias_gradient + i);
      if (p.branch_gradient != nullptr) Store(gradient, p.branch_gradient + begin + i);
    }
  }
}

struct Forwarded {
  at::Tensor sum, normalized, means, scales;
};

Forwarded RunForward(const Residual& residual, const at::Tensor& weight, const at::Tensor& bias,
                     double eps, at::ScalarType type) {
  const at::Tensor& x = residual.x;
  const at::Tensor& branch = residual.branch.product;
  const int64_t size = x.size(-1), rows = x.numel() / size;
  Forwarded out = {.sum = branch.defined() ? at::empty_like(x) : x,
                   .normalized = at::empty_like(x, type),
                   .means = at::empty({rows}, at::kFloat),
                   .scales = at::empty({rows}, at::kFloat)};
  const at::Tensor branch_bias =
      residual.branch.bias.defined() ? residual.branch.bias : at::zeros({size}, at::kFloat);
  const at::ScalarType branch_type = branch.defined() ? branch.scalar_type() : at::kFloat;
  WithElement(branch_type, [&]<typename B>() {
    WithElement(type, [&]<typename Y>() {
      const ForwardPass<B, Y> pass = {
          .size = size,
          .x = x.const_data_ptr<float>(),
          .branch = branch.defined() ? branch.const_data_ptr<B>() : nullptr,
          .branch_bias = branch_bias.const_data_ptr<float>(),
          .weight = weight.const_data_ptr<float>(),
          .bias = bias.const_data_ptr<float>(),
          .eps = static_cast<float>(eps),
          .sum = branch.defined() ? out.sum.data_ptr<float>() : nullptr,
          .normalized = out.normalized.data_ptr<Y>(),
          .means = out.means.data_ptr<float>(),
          .scales = out.scales.data_ptr<float>()};
      ForEachChunk(rows,
                   [&](int64_t, int64_t first, int64_t count) { Forward(pass, first, count); });
    });
  });
  return out;
}

struct Gradients {
  at::Tensor x, branch, branch_bias, weight, bias;
};

// `sum_gradient` may be undefined. `branch_type`: Undefined if there is no branch.
Gradients RunBackward(const at::Tensor& sum, const at::Tensor& weight, const at::Tensor& means,
                      const at::Tensor& scales, const at::Tensor& sum_gradient,
                      const at::Tensor& gradient, at::ScalarType branch_type) {
  const int64_t size = sum.size(-1), rows = sum.numel() / size;
  const bool own_branch = branch_type == at::kBFloat16;
  Gradients out;
  out.x = at::empty_like(sum);
  if (branch_type == at::kFloat) out.branch = out.x;
  if (own_branch) out.branch = at::empty_like(sum, branch_type);
  const at::Tensor shares =  // the chunks' parts of the gradients of weight and biases
      at::zeros({ChunkCount(rows), 3, size}, at::kFloat);
  WithElement(own_branch ? at::kBFloat16 : at::kFloat, [&]<typename B>() {
    WithElement(gradient.scalar_type(), [&]<typename Y>() {
      const BackwardPass<B, Y> pass = {
          .size = size,
          .sum = sum.const_data_ptr<float>(),
          .weight = weight.const_data_ptr<float>(),
          .means = means.const_data_ptr<float>(),
          .scales = scales.const_data_ptr<float>(),
          .sum_gradient = sum_gradient.defined() ? sum_gradient.const_data_ptr<float>() : nullptr,
          .gradient = gradient.const_data_ptr<Y>(),
          .x_gradient = out.x.data_ptr<float>(),
          .branch_gradient = own_branch ? out.branch.data_ptr<B>() : nullptr};
      ForEachChunk(rows, [&](int64_t chunk, int64_t first, int64_t count) {
        Backward(pass, first, count, shares.data_ptr<float>() + chunk * 3 * size);
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
