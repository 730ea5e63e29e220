// Answers one request of the Open Inference Protocol for inference.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_CALL_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_CALL_H_

#include <functional>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"

namespace vit {

struct InferBackend {
  InferenceEngine* engine = nullptr;
  InferenceObserver* observer = nullptr;  // receives what is refused before the engine sees it
  int max_images_per_request = 256;
  Clock* clock = Clock::Real();
};

// Loads the model if need be, checks `request`, computes and fills `response`; both must live until
// `done` is called, once, on a thread of the engine or the caller's. Waits for nothing. A request
// with a bad image fails as a whole, and the message names the image by its index.
void AnswerInfer(const InferBackend& backend, const inference::ModelInferRequest& request,
                 const CallContext& context, inference::ModelInferResponse* response,
                 std::function<void(const absl::Status&)> done);

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_CALL_H_
