// The engine's answers as output tensors of the Open Inference Protocol.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_ANSWER_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_ANSWER_H_

#include <vector>

#include "absl/status/status.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"
#include "server/services/open_inference/infer_options.h"

namespace vit {

// Adds the `outputs` to `response`. `images`: what was computed for each; `labels`: of the model's
// classes.
void WriteOutputs(const std::vector<RequestedOutput>& outputs, const std::vector<Computed>& images,
                  const std::vector<std::string>& labels, inference::ModelInferResponse* response);

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_ANSWER_H_
