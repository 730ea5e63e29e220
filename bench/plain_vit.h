// A plain training loop of LibTorch's own modules, to compare with.
#ifndef VIT_BENCH_PLAIN_VIT_H_
#define VIT_BENCH_PLAIN_VIT_H_

#include <torch/torch.h>

#include <vector>

#include "vit/v1/training.pb.h"

namespace vit::bench {

// The same architecture as VisionTransformer from torch::nn modules: with a class token, or average
// pooled without one.
class PlainVitImpl : public torch::nn::Module {
 public:
  explicit PlainVitImpl(const vit::v1::ModelConfig& config);
  at::Tensor forward(const at::Tensor& images);  // [B, 3, S, S] -> [B, K]

 private:
  struct BlockLayers {
    torch::nn::LayerNorm norm1, norm2;
    torch::nn::Linear qkv, proj, fc1, fc2;
  };
  int64_t heads_;
  torch::nn::Conv2d patch_embed_{nullptr};
  at::Tensor cls_token_, pos_embed_;
  std::vector<BlockLayers> blocks_;
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear head_{nullptr};
};
TORCH_MODULE(PlainVit);

// zero_grad, forward, cross entropy, backward, clip_grad_norm_, fused AdamW over the list of
// parameters.
class PlainLoop {
 public:
  explicit PlainLoop(const vit::v1::TrainingSpec& spec);
  void Step(const at::Tensor& images, const at::Tensor& labels);

 private:
  const vit::v1::TrainingSpec spec_;
  PlainVit model_;
  std::vector<at::Tensor> parameters_, exp_avg_, exp_avg_sq_, steps_;
};

}  // namespace vit::bench

#endif  // VIT_BENCH_PLAIN_VIT_H_
