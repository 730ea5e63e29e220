// What the engine reports while it serves.
#ifndef VIT_CORE_INFER_INFERENCE_OBSERVER_H_
#define VIT_CORE_INFER_INFERENCE_OBSERVER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace vit {

// Receives what the engine reports, for metrics. Thread-safe; must return quickly. `model` and
// `version` are those of ServableModel.
class InferenceObserver {
 public:
  virtual ~InferenceObserver() = default;
  // An image was answered. `total` is from its arrival.
  virtual void OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                           absl::Duration total) = 0;
  virtual void OnBatch(const std::string& model, int batch_size, absl::Duration compute) = 0;
  virtual void OnQueued(const std::string& model, absl::Duration queue_time) = 0;
  virtual void OnQueueDepth(const std::string& model, int depth) = 0;
  virtual void OnModelLoaded(const std::string& model, int64_t version) = 0;
  virtual void OnModelUnloaded(const std::string& model, int64_t version) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_OBSERVER_H_
