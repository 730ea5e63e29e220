#include "core/model/short_attention.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include "core/model/exp.h"
#include "core/model/scratch_matrix.h"
#define VIT_HAS_SHORT_ATTENTION 1
#endif

namespace vit {

#ifdef VIT_HAS_SHORT_ATTENTION

namespace {

using namespace avx512;  // NOLINT(google-build-using-namespace)

// Queries whose weights are in scratch memory at a time: as many as fit into the nearest caches.
constexpr int64_t kQueryRows = 80;
// With 577 tokens, the longest that was measured, it is 1.3 times as fast as LibTorch's
// (bench/parts_bench).
constexpr int64_t kMostTokens = 640;

struct Sizes {
  explicit Sizes(const at::Tensor& qkv, double scale)
      : images(qkv.size(0)),
        tokens(qkv.size(1)),
        heads(qkv.size(3)),
        dim(qkv.size(4)),
        padded_tokens(RoundUpToLanes(tokens)),
        padded_dim(RoundUpToLanes(dim)),
        rows(std::min(tokens, kQueryRows)),
        scale(static_cast<float>(scale)) {}

  // Returns the offset of the first token of head `index` (of all images' heads) in a tensor that
  // holds `parts` such tensors side by side; the next token is TokenStride(parts) further.
  int64_t Head(int64_t index, int64_t parts) const {
    return index / heads * tokens * TokenStride(parts) + index % heads * dim;
  }
  int64_t TokenStride(int64_t parts) const { return parts * heads * dim; }
  int64_t PartStride() const { return heads * dim; }

  int64_t images, tokens, heads, dim;
  int64_t padded_tokens, padded_dim;  // to whole vectors
  int64_t rows;                       // of a block of queries
  float scale;
};

// The matrices of a thread.
class Scratch {
 public:
  float* Matrix(int64_t rows, int64_t columns) {
    return matrices_.emplace_back(at::empty({rows, columns}, at::kFloat)).data_ptr<float>();
  }

 private:
  std::vector<at::Tensor> matrices_;
};

// Calls prepare(&scratch) in each thread, and what that returns for every head of every image.
template <typename Prepare>
void ForEachHead(const Sizes& s, const Prepare& prepare) {
  at::parallel_for(0, s.images * s.heads, 1, [&](int64_t begin, int64_t end) {
    Scratch scratch;
    const auto work = prepare(&scratch);
    for (int64_t head = begin; head < end; ++head) work(head);
  });
}

// Replaces a row of scores by exp(score - shift); columns beyond the last token become 0.
VIT_AVX512 VIT_INLINE void Exponentiate(float* row, const Sizes& s, float shift) {
  for (int64_t j = 0; j < s.tokens; ++j) row[j] = ExpOfNegative(row[j] - shift);
  std::fill(row + s.tokens, row + s.padded_tokens, 0.0f);
}

// Computes the weights of `rows` queries from their scores, in place. Columns beyond the last token
// become 0. log_sums: [rows], the logarithm of each row's sum of exponentials.
VIT_AVX512 void Softmax(float* scores, int64_t rows, const Sizes& s, float* log_sums) {
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = scores + i * s.padded_tokens;
    std::fill(row + s.tokens, row + s.padded_tokens, -INFINITY);
    Floats tops = Load(row);
    for (int64_t j = kLanes; j < s.padded_tokens; j += kLanes) {
      const Floats x = Load(row + j);
      tops = x > tops ? x : tops;
    }
    float top = tops[0];
    for (int j = 1; j < kLanes; ++j) top = std::max(top, tops[j]);
    Exponentiate(row, s, top);
    Floats sums{};
    for (int64_t j = 0; j < s.padded_tokens; j += kLanes) sums += Load(row + j);
    const float sum = Total(sums), factor = 1 / sum;
    for (int64_t j = 0; j < s.padded_tokens; j += kLanes) Store(Load(row + j) * factor, row + j);
    log_sums[i] = top + std::log(sum);
  }
}

// Computes the same weights from their scores and `log_sums`, up to the rounding of the latter.
VIT_AVX512 void SoftmaxAgain(float* scores, int64_t rows, const Sizes& s, const float* log_sums) {
  for (int64_t i = 0; i < rows; ++i) {
    Exponentiate(scores + i * s.padded_tokens, s, log_sums[i]);
  }
}

// Replaces the gradient of the weights by that of the scores: w (g - sum w g).
VIT_AVX512 void SoftmaxBackward(const float* weights, float* gradient, int64_t rows,
                                const Sizes& s) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* const w = weights + i * s.padded_tokens;
    float* const g = gradient + i * s.padded_tokens;
    Floats products{};
    for (int64_t j = 0; j < s.padded_tokens; j += kLanes) products += Load(w + j) * Load(g + j);
    const float mean = Total(products);
    for (int64_t j = 0; j < s.padded_tokens; j += kLanes) {
      Store(Load(w + j) * (Load(g + j) - mean), g + j);
    }
  }
}

template <typename T>
void Forward(const T* qkv, const Sizes& s, T* out, float* log_sums) {
  const int64_t stride = s.TokenStride(3), out_stride = s.TokenStride(1);
  ForEachHead(s, [&](Scratch* scratch) {
    float* const value = scratch->Matrix(s.tokens, s.padded_dim);
    float* const query = scratch->Matrix(s.rows, s.padded_dim);
    float* const mixed = scratch->Matrix(s.rows, s.padded_dim);
    float* const key_t = scratch->Matrix(s.padded_dim, s.padded_tokens);
    float* const weights = scratch->Matrix(s.rows, s.padded_tokens);
    return [=](int64_t head) {
      const T* const in = qkv + s.Head(head, 3);
      T* const to = out + s.Head(head, 1);
      LoadTransposed(in + s.PartStride(), s.tokens, stride, s.dim, key_t);
      LoadMatrix(in + 2 * s.PartStride(), s.tokens, stride, s.dim, 1, value);
      for (int64_t first = 0; first < s.tokens; first += s.rows) {
        const int64_t rows = std::min(s.rows, s.tokens - first);
        LoadMatrix(in + first * stride, rows, stride, s.dim, s.scale, query);
        Multiply({rows, s.padded_tokens, s.dim}, {query, s.padded_dim}, key_t, weights);
        Softmax(weights, rows, s, log_sums + head * s.tokens + first);
        Multiply({rows, s.padded_dim, s.tokens}, {weights, s.padded_tokens}, value, mixed);
        StoreMatrix(mixed, rows, s.dim, 1, to + first * out_stride, out_stride);
      }
    };
  });
}

template <typename T>
void Backward(const T* qkv, const T* gradient, const float* log_sums, const Sizes& s, T* out) {
  const int64_t stride = s.TokenStride(3), gradient_stride = s.TokenStride(1);
  ForEachHead(s, [&](Scratch* scratch) {
    float* const key = scratch->Matrix(s.tokens, s.padded_dim);
    float* const key_gradient = scratch->Matrix(s.tokens, s.padded_dim);
    float* const value_gradient = scratch->Matrix(s.tokens, s.padded_dim);
    float* const query = scratch->Matrix(s.rows, s.padded_dim);
    float* const query_gradient = scratch->Matrix(s.rows, s.padded_dim);
    float* const mixed_gradient = scratch->Matrix(s.rows, s.padded_dim);
    float* const key_t = scratch->Matrix(s.padded_dim, s.padded_tokens);
    float* const value_t = scratch->Matrix(s.padded_dim, s.padded_tokens);
    float* const weights = scratch->Matrix(s.rows, s.padded_tokens);
    float* const score_gradient = scratch->Matrix(s.rows, s.padded_tokens);
    return [=](int64_t head) {
      const T* const in = qkv + s.Head(head, 3);
      const T* const from = gradient + s.Head(head, 1);
      T* const to = out + s.Head(head, 3);
      LoadMatrix(in + s.PartStride(), s.tokens, stride, s.dim, 1, key);
      LoadTransposed(in + s.PartStride(), s.tokens, stride, s.dim, key_t);
      LoadTransposed(in + 2 * s.PartStride(), s.tokens, stride, s.dim, value_t);
      for (int64_t first = 0; first < s.tokens; first += s.rows) {
        const int64_t rows = std::min(s.rows, s.tokens - first);
        const bool add = first > 0;
        LoadMatrix(in + first * stride, rows, stride, s.dim, s.scale, query);
        LoadMatrix(from + first * gradient_stride, rows, gradient_stride, s.dim, 1, mixed_gradient);
        Multiply({rows, s.padded_tokens, s.dim}, {query, s.padded_dim}, key_t, weights);
        SoftmaxAgain(weights, rows, s, log_sums + head * s.tokens + first);
        Multiply({s.tokens, s.padded_dim, rows}, Transposed(weights, s.padded_tokens),
                 mixed_gradient, value_gradient, add);
        Multiply({rows, s.padded_tokens, s.dim}, {mixed_gradient, s.padded_dim}, value_t,
                 score_gradient);
        SoftmaxBackward(weights, score_gradient, rows, s);
        Multiply({rows, s.padded_dim, s.tokens}, {score_gradient, s.padded_tokens}, key,
                 query_gradient);
        StoreMatrix(query_gradient, rows, s.dim, s.scale, to + first * stride, stride);
        // The queries include the factor already.
        Multiply({s.tokens, s.padded_dim, rows}, Transposed(score_gradient, s.padded_tokens), query,
                 key_gradient, add);
      }
      StoreMatrix(key_gradient, s.tokens, s.dim, 1, to + s.PartStride(), stride);
      StoreMatrix(value_gradient, s.tokens, s.dim, 1, to + 2 * s.PartStride(), stride);
    };
  });
}

// {[B, N, H, D], log sums [B * H, N]}
std::pair<at::Tensor, at::Tensor> RunForward(const at::Tensor& qkv, double scale) {
  const Sizes s(qkv, scale);
  const at::Tensor out = at::empty({s.images, s.tokens, s.heads, s.dim}, qkv.options());
  const at::Tensor log_sums = at::empty({s.images * s.heads, s.tokens}, at::kFloat);
  WithElement(qkv.scalar_type(), [&]<typename T>() {
    Forward(qkv.const_data_ptr<T>(), s, out.data_ptr<T>(), log_sums.data_ptr<float>());
  });
  return {out, log_sums};
}

class ShortAttentionFunction : public torch::autograd::Function<ShortAttentionFunction> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& qkv,
                            double scale) {
    const auto [out, log_sums] = RunForward(qkv, scale);
    context->save_for_backward({qkv, log_sums});
    context->saved_data["scale"] = scale;
    return out;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor& qkv = saved[0];
    const Sizes s(qkv, context->saved_data["scale"].toDouble());
    const at::Tensor gradient = gradients[0].contiguous(), out = at::empty_like(qkv);
    WithElement(qkv.scalar_type(), [&]<typename T>() {
      Backward(qkv.const_data_ptr<T>(), gradient.const_data_ptr<T>(),
               saved[1].const_data_ptr<float>(), s, out.data_ptr<T>());
    });
    return {out, {}};
  }
};

}  // namespace

bool TakesShortAttention(const at::Tensor& qkv) {
  static const bool has_avx512 =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  return has_avx512 && qkv.device().is_cpu() && qkv.is_contiguous() && IsFloatOrBFloat16(qkv) &&
         qkv.size(1) <= kMostTokens;
}

at::Tensor ShortAttention(const at::Tensor& qkv, double scale) {
  if (AsksForGradient(qkv)) {
    return ShortAttentionFunction::apply(qkv, scale);
  }
  return RunForward(qkv, scale).first;
}

#else

bool TakesShortAttention(const at::Tensor&) { return false; }

at::Tensor ShortAttention(const at::Tensor&, double) {
  TORCH_CHECK(false, "ShortAttention is not available on this processor");
}

#endif

}  // namespace vit
