// A trained model, ready to answer.
#ifndef VIT_CORE_INFER_FROZEN_MODEL_H_
#define VIT_CORE_INFER_FROZEN_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/compute/compute_team.h"
#include "core/base/compute/device.h"
#include "core/data/image/image.h"
#include "core/infer/inference_request.h"
#include "core/models/servable_model.h"
#include "vit/v1/model.pb.h"

namespace vit {

// The weights of one model directory with their preprocessing and labels. Immutable and thread-safe
// once loaded; keeps the directory's files as long as it lives. FrozenTransformer computes
// everything except explanations; those need the attention weights of VisionTransformer.
class FrozenModel {
 public:
  // Reads the model directory, whose checksums must be right. Statuses of VerifyChecksums and
  // LoadModel; RESOURCE_EXHAUSTED if memory runs out.
  static absl::StatusOr<std::shared_ptr<const FrozenModel>> Load(const ServableModel& source,
                                                                 const Device& device);
  ~FrozenModel();

  // Computes a batch of `count` black images, because the first pass through a model is the
  // slowest, and lets a CUDA device record that size. Not while anything else is computed.
  absl::Status WarmUp(int count, ComputeTeam* team) const;

  struct PrepareOptions {
    ImageLimits limits;
    // Decodes a JPEG that is much larger than what it is resized to at 1/2, 1/4 or 1/8 of its size:
    // faster, and the pixels differ a little from those of evaluation.
    bool reduced_jpeg_decoding = false;
  };
  // Decodes and preprocesses an image; takes pixels and normalized values as they are. Statuses as
  // DecodeImage's; INVALID_ARGUMENT for data of the wrong size.
  absl::StatusOr<PreparedImage> Prepare(const ImageInput& image,
                                        const PrepareOptions& options) const;

  // Returns one result per prepared image, computed by `team`. INVALID_ARGUMENT for a block that
  // the model does not have.
  absl::StatusOr<std::vector<Computed>> Compute(const Work& work,
                                                absl::Span<const PreparedImage* const> prepared,
                                                ComputeTeam* team) const;

  // Its image_size is that of the images that are served, which evaluation may have set.
  const vit::v1::ModelConfig& config() const;
  const std::vector<std::string>& labels() const;
  // The source that it was loaded from.
  const ServableModel& source() const { return source_; }
  const std::string& name() const { return source_.name; }
  int64_t version() const { return source_.version(); }

 private:
  class Impl;
  FrozenModel(ServableModel source, std::unique_ptr<Impl> impl);
  const ServableModel source_;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_FROZEN_MODEL_H_
