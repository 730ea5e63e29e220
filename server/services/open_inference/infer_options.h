// What a request of the Open Inference Protocol asks for beside its input.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_OPTIONS_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"

namespace vit {

// A request's parameters.
struct InferParameters {
  vit::v1::Priority priority = vit::v1::PRIORITY_UNSPECIFIED;
  absl::Duration timeout = absl::InfiniteDuration();
  bool mark_final = false;  // the answer says that it is the request's last
};

// Reads `priority` (0: the default, 1: high, 2: normal, above: low), `timeout` (microseconds; 0:
// none) and what Triton's clients send with streams. Ignores the others, except those that would
// change the answer: INVALID_ARGUMENT.
absl::StatusOr<InferParameters> ReadParameters(const inference::ModelInferRequest& request);

// An output that the answer will have.
struct RequestedOutput {
  enum class Kind { kScores, kLabels, kEmbedding };
  Kind kind = Kind::kScores;
  int classes = 0;  // kScores: if above 0, so many of the best classes, as text
};

// Returns the outputs that `request` names, in that order, or the default ones, for a model with
// `num_classes` classes, 0 for an encoder. INVALID_ARGUMENT names the output and what there is.
absl::StatusOr<std::vector<RequestedOutput>> ReadOutputs(
    const inference::ModelInferRequest& request, int num_classes);

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_OPTIONS_H_
