#include "core/model/frozen/cpu/cpu_head.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/model/frozen/cpu/buffers.h"
#include "core/model/model_config.h"

namespace vit::frozen {

template <typename T>
CpuHead<T>::CpuHead(const vit::v1::ModelConfig& config, const FoldedWeights& weights,
                    int64_t tokens, int64_t stride, at::Tensor end_offset)
    : kernels_(BestKernels<T>()),
      config_(config),
      tokens_(tokens),
      stride_(stride),
      dim_(config.embed_dim()),
      features_(PooledFeatures(config)),
      end_offset_(std::move(end_offset)),
      norm_(weights.norm),
      fc_norm_(weights.fc_norm),
      pre_logits_(weights.pre_logits),
      head_(weights.head),
      head_dist_(weights.head_dist) {}

template <typename T>
CpuHead<T>::Scratch CpuHead<T>::MakeScratch(int64_t images) const {
  // What the first layer reads, if there is a head.
  const int64_t inputs = (pre_logits_.exists() ? pre_logits_ : head_).inputs();
  const int64_t padded = std::max(RoundUpToLanes(features_), stride_);
  return {
      .tokens = Zeros<float>({tokens_, stride_}),
      .features = Zeros<float>({images, padded}),
      .distilled = Zeros<float>({images, padded}),
      .in = Zeros<T>({images, inputs}),
      .represented = Zeros<T>({images, head_.inputs()}),
      .tile = Zeros<float>({images, PackedLinear<T>::kBlock}),
  };
}

template <typename T>
void CpuHead<T>::Finish(Output output, const float* x, int64_t images, float* out,
                        Scratch* scratch) const {
  const int64_t needed = NeededTokens(output), size = OutputSize(output);
  const int64_t feature_stride = scratch->features.size(1);
  const float* const offset = end_offset_.const_data_ptr<float>();
  float* const tokens = scratch->tokens.template data_ptr<float>();
  for (int64_t image = 0; image < images; ++image, x += needed * stride_) {
    if (norm_.exists()) {
      norm_.Apply(x, offset, needed, stride_, tokens);
    } else {
      BestKernels<float>().convert({x, stride_, offset, needed, dim_, 0}, tokens, stride_);
    }
    if (output == Output::kTokens) {
      for (int64_t i = 0; i < needed; ++i) {
        std::copy_n(tokens + i * stride_, dim_, out + image * size + i * dim_);
      }
      continue;
    }
    float* const pooled = scratch->features.template data_ptr<float>() + image * feature_stride;
    Pool(tokens, pooled);
    if (fc_norm_.exists()) fc_norm_.Apply(pooled, nullptr, 1, feature_stride, pooled);
    if (output != Output::kLogits) {
      std::copy_n(pooled, features_, out + (image + 1) * size - features_);
    }
    if (output != Output::kFeatures && head_dist_.exists()) {
      std::copy_n(tokens + stride_, dim_,
                  scratch->distilled.template data_ptr<float>() + image * feature_stride);
    }
  }
  if (output != Output::kLogits && output != Output::kLogitsAndFeatures) return;
  for (int64_t image = 0; image < images; ++image) {
    std::fill_n(out + image * size, config_.num_classes(), 0.0f);
  }
  if (head_dist_.exists()) {
    AddLogits(head_, scratch->features, images, 0.5f, out, size, scratch);
    AddLogits(head_dist_, scratch->distilled, images, 0.5f, out, size, scratch);
  } else {
    AddLogits(head_, scratch->features, images, 1, out, size, scratch);
  }
}

template <typename T>
void CpuHead<T>::Pool(const float* tokens, float* pooled) const {
  const int64_t prefix = PrefixTokenCount(config_), patches = tokens_ - prefix;
  const float* const first = tokens + prefix * stride_;
  const auto average = [&](float* to) {
    std::fill_n(to, dim_, 0.0f);
    for (int64_t i = 0; i < patches; ++i) {
      for (int64_t j = 0; j < dim_; ++j) to[j] += first[i * stride_ + j];
    }
    for (int64_t j = 0; j < dim_; ++j) to[j] /= static_cast<float>(patches);
  };
  switch (config_.global_pool()) {
    case vit::v1::GLOBAL_POOL_AVG:
      return average(pooled);
    case vit::v1::GLOBAL_POOL_MAX:
      std::copy_n(first, dim_, pooled);
      for (int64_t i = 1; i < patches; ++i) {
        for (int64_t j = 0; j < dim_; ++j) {
          pooled[j] = std::max(pooled[j], first[i * stride_ + j]);
        }
      }
      return;
    case vit::v1::GLOBAL_POOL_FLATTEN:
      for (int64_t i = 0; i < patches; ++i) {
        for (int64_t j = 0; j < dim_; ++j) pooled[j * patches + i] = first[i * stride_ + j];
      }
      return;
    case vit::v1::GLOBAL_POOL_TOKEN_AND_AVG:
      std::copy_n(tokens, dim_, pooled);
      return average(pooled + dim_);
    default:
      std::copy_n(tokens, dim_, pooled);
  }
}

template <typename T>
void CpuHead<T>::Represent(int64_t count, Scratch* scratch) const {
  const T* const in = scratch->in.template data_ptr<T>();
  T* const out = scratch->represented.template data_ptr<T>();
  float* const tile = scratch->tile.template data_ptr<float>();
  const int64_t stride = scratch->represented.size(1);
  if (config_.representation_activation() == vit::v1::REPRESENTATION_ACTIVATION_GELU) {
    pre_logits_.Apply(in, pre_logits_.inputs(), count, vit::v1::ACTIVATION_GELU, out, stride, tile);
    return;
  }
  pre_logits_.ForEachBlock(in, pre_logits_.inputs(), count, tile,
                           [&](int64_t first, int64_t columns, const float* product) {
                             const float* const bias = pre_logits_.bias() + first;
                             for (int64_t i = 0; i < count; ++i) {
                               for (int64_t j = 0; j < columns; ++j) {
                                 out[i * stride + first + j] =
                                     static_cast<T>(std::tanh(product[i * columns + j] + bias[j]));
                               }
                             }
                           });
}

template <typename T>
void CpuHead<T>::AddLogits(const PackedLinear<T>& head, const at::Tensor& features, int64_t count,
                           float factor, float* logits, int64_t stride, Scratch* scratch) const {
  kernels_.convert(
      {features.const_data_ptr<float>(), features.size(1), nullptr, count, features_, 0},
      scratch->in.template data_ptr<T>(), scratch->in.size(1));
  if (pre_logits_.exists()) Represent(count, scratch);
  const at::Tensor& in = pre_logits_.exists() ? scratch->represented : scratch->in;
  const int64_t classes = config_.num_classes();
  head.ForEachBlock(in.const_data_ptr<T>(), in.size(1), count,
                    scratch->tile.template data_ptr<float>(),
                    [&](int64_t first, int64_t columns, const float* product) {
                      const float* const bias = head.bias() + first;
                      const int64_t some = std::min(columns, classes - first);
                      for (int64_t i = 0; i < count; ++i) {
                        float* const to = logits + i * stride + first;
                        for (int64_t j = 0; j < some; ++j) {
                          to[j] += factor * (product[i * columns + j] + bias[j]);
                        }
                      }
                    });
}

template class CpuHead<float>;
template class CpuHead<at::BFloat16>;

}  // namespace vit::frozen
