// The Vision Transformer (Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929) in timm's
// structure: parameters carry timm's names, so that they are timm's state dict. What ModelConfig
// offers beyond timm has its own names.
//
// Shapes: B images, C channels, S = image_size, N tokens, D = embed_dim, H heads, K classes.
//
// There is one forward pass, which the trainer, evaluation and Classify all call. LibTorch's
// exceptions pass through.
#ifndef VIT_CORE_MODEL_VISION_TRANSFORMER_H_
#define VIT_CORE_MODEL_VISION_TRANSFORMER_H_

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/base/compute/named_tensors.h"
#include "core/model/layers.h"
#include "core/model/position_embedding.h"
#include "vit/v1/model.pb.h"

namespace vit {

class VisionTransformerImpl : public torch::nn::Module {
 public:
  // `config`: effective and valid. Allocates the weights without initialising them; draws nothing
  // random.
  explicit VisionTransformerImpl(const vit::v1::ModelConfig& config);

  // Initialises as timm does, every value a function of (seed, parameter): linear weights,
  // distillation token and position embedding normal with standard deviation 0.02, class and
  // register tokens 1e-6, patch projection uniform in +-1 / sqrt(fan in), biases 0, norms 1;
  // LayerScale and head as the config says.
  void Initialize(uint64_t seed);

  // Maps normalised images [B, C, S, S] to logits [B, K]. The model must have a head (num_classes
  // above 0). Drops features only in training mode (is_training()). Takes sizes other than S only
  // with dynamic_image_size.
  at::Tensor forward(const at::Tensor& images);

  // Returns the tokens after the last block and its norm, if it has one: [B, N, D].
  // `attention_weights`, if given, receives those of each block, [B, H, N, N].
  at::Tensor ForwardFeatures(const at::Tensor& images,
                             std::vector<at::Tensor>* attention_weights = nullptr);

  // Returns the logits of ForwardFeatures' tokens: [B, K].
  at::Tensor ForwardHead(const at::Tensor& tokens);

  // Returns the logits of each head: the class head's and the distillation head's, undefined if
  // there is none. Their mean is ForwardHead's.
  std::pair<at::Tensor, at::Tensor> ForwardHeads(const at::Tensor& tokens);

  // Returns what the head is applied to, given ForwardFeatures' tokens: [B, D], with
  // GLOBAL_POOL_FLATTEN [B, D * patches], with GLOBAL_POOL_TOKEN_AND_AVG [B, 2 D].
  at::Tensor Pool(const at::Tensor& tokens);

  const vit::v1::ModelConfig& config() const { return config_; }

 private:
  // Returns the patch tokens [B, rows * columns, D] with their positions, and the tokens in front
  // of them.
  at::Tensor AddPositionsAndPrefix(const at::Tensor& patches, const PatchGrid& grid);
  // Applies what lies between pooling and the last linear map.
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

// Returns everything that a model's file holds, in a fixed order: parameters, then buffers (running
// means, fixed position embedding).
NamedTensors StateDict(const torch::nn::Module& module);

}  // namespace vit

#endif  // VIT_CORE_MODEL_VISION_TRANSFORMER_H_
