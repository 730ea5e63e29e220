// The tensors that a model has in the Open Inference Protocol, and how it names models.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_MODEL_TENSORS_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_MODEL_TENSORS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"
#include "proto/model_ref.h"

namespace vit {

// Inputs, of which a request has one.
inline constexpr absl::string_view kImageInput = "IMAGE";   // BYTES [-1] or [-1, 1]: encoded files
inline constexpr absl::string_view kTensorInput = "INPUT";  // UINT8, FP16, FP32 [-1, 3, S, S]
// Outputs. A model without a head has only the last.
inline constexpr absl::string_view kScoresOutput = "SCORES";        // FP32 [-1, classes]
inline constexpr absl::string_view kLabelsOutput = "LABELS";        // BYTES [-1]
inline constexpr absl::string_view kEmbeddingOutput = "EMBEDDING";  // FP32 [-1, features]

// Priorities of requests: 1 is high, 2 normal, 3 low.
inline constexpr int kPriorityLevels = 3;

// The limits that a model's configuration tells.
struct BatchLimits {
  int max_images_per_request = 256;
  int max_batch_size = 32;  // images that are computed together
  absl::Duration max_queue_delay = absl::ZeroDuration();
};

// Returns the reference NAME, NAME@VERSION, run:ID, run:ID@STEP or latest for a request's model
// name and version. INVALID_ARGUMENT says what is wrong with them.
absl::StatusOr<ModelRef> ParseModel(const std::string& name, const std::string& version);

// Returns the protocol's name of a model, whatever its version.
std::string ModelName(ModelRef ref);
// Returns the protocol's version of a model that was found.
std::string ModelVersionName(const ModelRef& ref);

// Describes `model`, which has the given versions.
inference::ModelMetadataResponse DescribeModel(const FrozenModel& model,
                                               const std::vector<std::string>& versions);
inference::ModelConfig ConfigureModel(const FrozenModel& model, const BatchLimits& limits);

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_MODEL_TENSORS_H_
