// Computed answers as what callers want to see: InferenceEngine's answers in the messages of
// inference.proto, and the best classes.
#ifndef VIT_CORE_INFER_INFERENCE_MESSAGES_H_
#define VIT_CORE_INFER_INFERENCE_MESSAGES_H_

#include <vector>

namespace vit {

// Returns the indices of the `count` most probable classes, best first; fewer if there are fewer.
std::vector<int> BestClasses(const std::vector<float>& probabilities, int count);

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_MESSAGES_H_
