// The images of a request of the Open Inference Protocol.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_INPUT_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_INPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"

namespace vit {

struct InferInput {
  std::string name;  // of the tensor
  // They point into the request, or into one of the members below.
  std::vector<ImageInput> images;
  std::vector<float> values;   // of FP16
  std::vector<uint8_t> bytes;  // of UINT8 in typed contents
};

// Reads the one input tensor of `request`, which must outlive the result, for a model that takes
// images of `image_size` x `image_size`. Copies no image, except those that are converted.
// INVALID_ARGUMENT names the tensor, the reason and what is expected.
absl::StatusOr<InferInput> ReadInput(const inference::ModelInferRequest& request, int image_size,
                                     int max_images);

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_INFER_INPUT_H_
