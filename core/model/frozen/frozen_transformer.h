// The forward pass of a trained model in the form that computes fastest.
#ifndef VIT_CORE_MODEL_FROZEN_FROZEN_TRANSFORMER_H_
#define VIT_CORE_MODEL_FROZEN_FROZEN_TRANSFORMER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/compute/compute_team.h"
#include "core/model/vision_transformer.h"
#include "vit/v1/data.pb.h"

namespace vit {

// Computes what VisionTransformer computes in evaluation mode: in float32 the same within 1e-5, in
// bfloat16 what autocast computes, within its rounding. Constants are folded (folded_weights.h),
// weights are cast and arranged once, additions, norms and activations are part of the product
// before or after them, and nothing goes through LibTorch's dispatcher. If the head needs the
// class token alone, the last block computes that alone.
//
// Immutable and thread-safe. Keeps its buffers from batch to batch.
class FrozenTransformer {
 public:
  enum class Output {
    kLogits,    // [K]
    kFeatures,  // VisionTransformer::Pool's
    kTokens,    // VisionTransformer::ForwardFeatures', [N, D]
  };

  // [3, S, S], planes, red first; one of the two.
  struct Image {
    const uint8_t* bytes = nullptr;
    const float* values = nullptr;  // on the scale of bytes, but not whole
  };

  struct Options {
    int64_t image_size = 0;  // of the images that are given
    bool bfloat16 = false;   // else float32
  };

  // Freezes `model`, which is on the CPU, for images normalised as `preprocessing` says.
  // UNIMPLEMENTED, with the reason, for what it does not cover. LibTorch may throw (out of memory).
  static absl::StatusOr<std::unique_ptr<FrozenTransformer>> Create(
      const VisionTransformerImpl& model, const vit::v1::DataConfig& preprocessing,
      const Options& options);
  virtual ~FrozenTransformer() = default;

  // Computes `images` with the threads of `team`; `out` receives OutputSize values for each. May
  // throw std::bad_alloc.
  virtual void Compute(absl::Span<const Image> images, Output output, ComputeTeam* team,
                       float* out) const = 0;

  virtual int64_t OutputSize(Output output) const = 0;
};

}  // namespace vit

#endif  // VIT_CORE_MODEL_FROZEN_FROZEN_TRANSFORMER_H_
