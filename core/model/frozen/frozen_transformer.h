// The forward pass of a trained model in the form that computes fastest.
#ifndef VIT_CORE_MODEL_FROZEN_FROZEN_TRANSFORMER_H_
#define VIT_CORE_MODEL_FROZEN_FROZEN_TRANSFORMER_H_

#include <c10/core/Stream.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/types/span.h"
#include "core/base/compute/compute_team.h"
#include "core/model/vision_transformer.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Computes what VisionTransformer computes in evaluation mode: in float32 the same within 1e-5, in
// bfloat16 what autocast computes, within its rounding. Constants are folded (folded_weights.h),
// and weights are cast and arranged once. If the head needs the class token alone, the last block
// computes that alone. On a CPU whose kernels for small products LibTorch has (CpuTransformer),
// additions, norms and activations are part of the product before or after them, and nothing goes
// through LibTorch's dispatcher; elsewhere LibTorch's operators compute (TensorTransformer).
//
// Immutable and thread-safe. Keeps its buffers from batch to batch.
class FrozenTransformer {
 public:
  enum class Output {
    kLogits,             // [K]
    kFeatures,           // VisionTransformer::Pool's
    kLogitsAndFeatures,  // the former, then the latter
    kTokens,             // VisionTransformer::ForwardFeatures', [N, D]
  };

  // [3, S, S], planes, red first; one of the two.
  struct Image {
    const uint8_t* bytes = nullptr;
    const float* values = nullptr;  // on the scale of bytes, but not whole
  };

  struct Options {
    int64_t image_size = 0;  // of the images that are given
    bool bfloat16 = false;   // else float32
    // Where a CUDA device computes; not its default stream.
    std::optional<c10::Stream> stream = std::nullopt;
  };

  // Freezes `model` for its device and for images normalised as `preprocessing` says. LibTorch may
  // throw (out of memory).
  static std::unique_ptr<FrozenTransformer> Create(const VisionTransformerImpl& model,
                                                   const vit::v1::DataConfig& preprocessing,
                                                   const Options& options);
  virtual ~FrozenTransformer() = default;

  // Computes `images` with the threads of `team`; `out` receives OutputSize values for each. May
  // throw (out of memory, a lost device).
  virtual void Compute(absl::Span<const Image> images, Output output, ComputeTeam* team,
                       float* out) const = 0;

  // Lets a device record what it computes for that many images given as bytes, so that it starts
  // faster. Not while anything else uses the stream: it would be recorded too. Throws as Compute.
  virtual void Record(int64_t /*images*/, Output /*output*/) const {}

  virtual int64_t OutputSize(Output output) const = 0;
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_FROZEN_FROZEN_TRANSFORMER_H_
