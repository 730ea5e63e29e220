// What the engine reports while it serves.
#ifndef VIT_CORE_INFER_INFERENCE_OBSERVER_H_
#define VIT_CORE_INFER_INFERENCE_OBSERVER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace vit {

// Why an accepted image was given up before it was computed.
enum class Eviction { kDeadline, kCancelled, kShutdown };

// Receives what the engine reports, for metrics. Thread-safe; must return quickly. `model` and
// `version` are those of ServableModel.
class InferenceObserver {
 public:
  virtual ~InferenceObserver() = default;
  // An image was answered. `total` is from its arrival.
  virtual void OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                           absl::Duration total) = 0;
  // An image was decoded and preprocessed, or refused on the way.
  virtual void OnDecoded(const std::string& model, int64_t version, absl::Duration time) = 0;
  // An image had waited `queue_time` for its batch when that began.
  virtual void OnQueued(const std::string& model, int64_t version, absl::Duration queue_time) = 0;
  virtual void OnBatch(const std::string& model, int64_t version, int batch_size,
                       absl::Duration compute) = 0;
  virtual void OnEvicted(const std::string& model, int64_t version, Eviction why) = 0;
  virtual void OnQueueDepth(const std::string& model, int depth) = 0;
  virtual void OnModelLoaded(const std::string& model, int64_t version) = 0;
  virtual void OnModelUnloaded(const std::string& model, int64_t version) = 0;
};

// Passes on to several. Null ones are left out.
class InferenceObservers : public InferenceObserver {
 public:
  explicit InferenceObservers(std::vector<InferenceObserver*> observers)
      : observers_(std::move(observers)) {
    std::erase(observers_, nullptr);
  }
  void OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                   absl::Duration total) override {
    for (InferenceObserver* o : observers_) o->OnImageDone(model, version, code, total);
  }
  void OnDecoded(const std::string& model, int64_t version, absl::Duration time) override {
    for (InferenceObserver* o : observers_) o->OnDecoded(model, version, time);
  }
  void OnQueued(const std::string& model, int64_t version, absl::Duration queue_time) override {
    for (InferenceObserver* o : observers_) o->OnQueued(model, version, queue_time);
  }
  void OnBatch(const std::string& model, int64_t version, int batch_size,
               absl::Duration compute) override {
    for (InferenceObserver* o : observers_) o->OnBatch(model, version, batch_size, compute);
  }
  void OnEvicted(const std::string& model, int64_t version, Eviction why) override {
    for (InferenceObserver* o : observers_) o->OnEvicted(model, version, why);
  }
  void OnQueueDepth(const std::string& model, int depth) override {
    for (InferenceObserver* o : observers_) o->OnQueueDepth(model, depth);
  }
  void OnModelLoaded(const std::string& model, int64_t version) override {
    for (InferenceObserver* o : observers_) o->OnModelLoaded(model, version);
  }
  void OnModelUnloaded(const std::string& model, int64_t version) override {
    for (InferenceObserver* o : observers_) o->OnModelUnloaded(model, version);
  }

 private:
  std::vector<InferenceObserver*> observers_;
};

}  // namespace vit

#endif  // VIT_CORE_INFER_INFERENCE_OBSERVER_H_
