// A model's weights with every constant of its forward pass folded into a matrix or a vector.
#ifndef VIT_CORE_MODEL_FROZEN_FOLDED_WEIGHTS_H_
#define VIT_CORE_MODEL_FROZEN_FOLDED_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "core/model/vision_transformer.h"
#include "vit/v1/data.pb.h"

namespace vit::frozen {

// All tensors are float32 on the CPU. D = embed_dim, H heads of d features, N tokens.

// y = W x + b
struct FoldedLinear {
  at::Tensor weight;  // [out, in]; undefined if there is no such layer
  at::Tensor bias;    // [out]
  bool exists() const { return weight.defined(); }
};

// (x - mean) / sqrt(variance + eps) * weight + bias, with mean and variance of x itself; for a
// BatchNorm, whose mean and variance are folded in too, x * weight + bias.
struct FoldedNorm {
  at::Tensor weight, bias;  // [size]; undefined if there is no such norm
  double eps = 0;
  bool normalizes = true;
  bool exists() const { return weight.defined(); }
};

struct FoldedBlock {
  // Take the residual stream, normalised if `normalizes` says so: the rest of the norm in front of
  // them is in them.
  FoldedLinear qkv;  // [3 H d, D]. The scores' scale, times log2(e), is in the queries' rows
  FoldedLinear fc1;
  // Their LayerScale is in them.
  FoldedLinear proj;  // without attn_proj, the identity
  FoldedLinear fc2;
  // Of each head; the scores' scale, times log2(e), is in that of the queries.
  FoldedNorm q_norm, k_norm;
};

struct FoldedWeights {
  // Takes patches of bytes - kByteCentre: the normalisation of the pixels is in it. With
  // model.patch_norm it takes patches of normalised pixels, themselves normalised.
  FoldedLinear patches;  // [D, 3 * patch height * patch width]
  // With model.patch_norm: what makes bytes - kByteCentre normalised pixels, and the norm after the
  // projection.
  FoldedNorm pixels, patch_norm;
  at::Tensor prefix;     // [tokens in front, D], with their positions
  at::Tensor positions;  // [patches, D]
  FoldedNorm norm_pre;
  std::vector<FoldedBlock> blocks;
  bool normalizes = true;  // whether the blocks' norms do
  double eps = 0;          // theirs, and of the patches'
  FoldedNorm norm;         // of the tokens after the last block
  FoldedNorm fc_norm;      // of the pooled features
  FoldedLinear pre_logits, head, head_dist;
};

// Folds the weights of `model` for images of `image_size`, normalised as `preprocessing` says.
FoldedWeights Fold(const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
                   int64_t image_size);

}  // namespace vit::frozen

#endif  // VIT_CORE_MODEL_FROZEN_FOLDED_WEIGHTS_H_
