// The Vision Transformer (Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929) in timm's
// structure: parameters carry timm's names, so that they are timm's state dict. What ModelConfig
// offers beyond timm has names of its own.
//
// Shapes: B pictures, C channels, S = image_size, N tokens, D = embed_dim, H heads, K classes.
//
// There is one forward. The trainer, evaluation and Classify all call it. Only for the rooms that
// compute: LibTorch's exceptions pass through.
#ifndef VIT_CORE_MODEL_VISION_TRANSFORMER_H_
#define VIT_CORE_MODEL_VISION_TRANSFORMER_H_

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/model/layers.h"
#include "core/model/position_embedding.h"
#include "vit/v1/model.pb.h"

namespace vit {

class VisionTransformerImpl : public torch::nn::Module {
 public:
  // `config`: effective and valid. Weights are allocated but not initialised; nothing random is
  // drawn.
  explicit VisionTransformerImpl(const vit::v1::ModelConfig& config);

  // timm's initialisation, every value a function of (seed, parameter): linear weights,
  // distillation token and position embedding normal with standard deviation 0.02, class and
  // register tokens 1e-6, patch projection uniform in +-1 / sqrt(fan in), biases 0, norms 1;
  // LayerScale and head as the config says.
  void Initialize(uint64_t seed);

  // Normalised pictures [B, C, S, S] -> logits [B, K]; not of a model without a head (num_classes
  // 0). Drops features only in training mode
  // (is_training()). Other sizes than S only with dynamic_image_size.
  at::Tensor forward(const at::Tensor& images);

  // Tokens after the last block and its norm, where it has one: [B, N, D]. Where
  // `attention_weights` is given, it receives each block's, [B, H, N, N].
  at::Tensor ForwardFeatures(const at::Tensor& images,
                             std::vector<at::Tensor>* attention_weights = nullptr);

  // The logits of ForwardFeatures' tokens: [B, K].
  at::Tensor ForwardHead(const at::Tensor& tokens);

  // Each head's by itself: the class head's, and the distillation head's, undefined where there is
  // none. Their mean is ForwardHead's.
  std::pair<at::Tensor, at::Tensor> ForwardHeads(const at::Tensor& tokens);

  // What the head is applied to, of ForwardFeatures' tokens: [B, D], with GLOBAL_POOL_FLATTEN
  // [B, D * patches], with GLOBAL_POOL_TOKEN_AND_AVG [B, 2 D].
  at::Tensor Pool(const at::Tensor& tokens);

  const vit::v1::ModelConfig& config() const { return config_; }

 private:
  // Patch tokens [B, rows * columns, D] with their positions, and the tokens in front of them.
  at::Tensor AddPositionsAndPrefix(const at::Tensor& patches, const PatchGrid& grid);
  // What lies between pooling and the last linear map.
  at::Tensor BeforeHead(const at::Tensor& pooled);

  vit::v1::ModelConfig config_;
  at::Tensor cls_token_, dist_token_, reg_token_;  // [1, 1, D], [1, 1, D], [1, registers, D]
  at::Tensor pos_embed_;                           // [1, positions, D]
  PatchEmbed patch_embed_{nullptr};
  std::vector<Block> blocks_;
  Norm norm_pre_{nullptr}, norm_{nullptr}, fc_norm_{nullptr};
  Linear pre_logits_{nullptr}, head_{nullptr}, head_dist_{nullptr};
};
TORCH_MODULE(VisionTransformer);

// Whether weight decay applies to the parameter of this name: matrices and the patch projection,
// but not biases, norms, tokens or the position embedding.
bool HasWeightDecay(const std::string& name, const at::Tensor& parameter);

// All that a model's file holds, in a fixed order: parameters, then buffers (running means, fixed
// position embedding).
std::vector<std::pair<std::string, at::Tensor>> StateDict(const torch::nn::Module& module);

}  // namespace vit

#endif  // VIT_CORE_MODEL_VISION_TRANSFORMER_H_
