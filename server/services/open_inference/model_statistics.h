// Counts and times of models, for the Open Inference Protocol.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_MODEL_STATISTICS_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_MODEL_STATISTICS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "inference/grpc_predict_v2.pb.h"
#include "proto/model_ref.h"

namespace vit {

// Adds up what the engine does for each version of a model, whatever the protocol and whether a
// request names the version or not. Everything counts images, not requests. Forgets a model when
// its last version is unloaded; until then it keeps the newest `kept_versions` of those that were
// unloaded. Thread-safe.
class ModelStatistics : public InferenceObserver {
 public:
  explicit ModelStatistics(Clock* clock = Clock::Real(), int kept_versions = 3)
      : clock_(clock), kept_versions_(kept_versions) {}

  // Returns the statistics of the versions of `ref`'s model, or of the one that it names; empty if
  // nothing is known of it.
  std::vector<inference::ModelStatistics> Of(const ModelRef& ref) const;
  // Returns those of every model, by name.
  std::vector<inference::ModelStatistics> All() const;

  void OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                   absl::Duration total) override;
  void OnDecoded(const std::string& model, int64_t version, absl::Duration time) override;
  void OnQueued(const std::string& model, int64_t version, absl::Duration queue_time) override;
  void OnBatch(const std::string& model, int64_t version, int batch_size,
               absl::Duration compute) override;
  void OnEvicted(const std::string& /*model*/, int64_t /*version*/, Eviction /*why*/) override {}
  void OnQueueDepth(const std::string& /*model*/, int /*depth*/) override {}
  void OnModelLoaded(const std::string& model, int64_t version) override;
  void OnModelUnloaded(const std::string& model, int64_t version) override;

 private:
  struct Times {
    uint64_t count = 0;
    absl::Duration total;
    void Add(absl::Duration time, int times = 1) {
      count += times;
      total += times * time;
    }
  };
  struct Version {
    std::set<std::string> loaded_as;  // the names, with or without the version
    Times success, fail, queue, compute;
    absl::Duration decode;         // of all images
    std::map<int, Times> batches;  // by size
    absl::Time last_batch = absl::UnixEpoch();
  };
  struct Model {
    std::map<int64_t, Version> versions;
    std::deque<int64_t> unloaded;  // oldest first
  };

  Version* Find(const std::string& model, int64_t version) VIT_REQUIRES(mu_);
  static inference::ModelStatistics ToMessage(const std::string& name, int64_t number,
                                              const Version& version);

  Clock* const clock_;
  const size_t kept_versions_;
  mutable Mutex mu_;
  std::map<std::string, Model> models_ VIT_GUARDED_BY(mu_);  // by name without a version
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_MODEL_STATISTICS_H_
