// The inference metrics for Prometheus.
#ifndef VIT_SERVER_METRICS_INFERENCE_METRICS_H_
#define VIT_SERVER_METRICS_INFERENCE_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"

namespace vit {

// Keeps the vitd_inference_* and vitd_model_loaded series up to date. Removes a model's series when
// its last version is unloaded; until then keeps those of the newest `kept_versions` unloaded
// versions, so that the last scrape sees them. Counts requests that name no loaded model under
// model "unknown", so that clients cannot create series. Thread-safe.
class InferenceMetrics : public InferenceObserver {
 public:
  // `registry` must outlive this.
  explicit InferenceMetrics(prometheus::Registry* registry, int kept_versions = 3);
  ~InferenceMetrics() override;

  void OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                   absl::Duration total) override;
  void OnDecoded(const std::string& model, int64_t version, absl::Duration time) override;
  void OnQueued(const std::string& model, int64_t version, absl::Duration queue_time) override;
  void OnBatch(const std::string& model, int64_t version, int batch_size,
               absl::Duration compute) override;
  void OnEvicted(const std::string& model, int64_t version, Eviction why) override;
  void OnQueueDepth(const std::string& model, int depth) override;
  void OnModelLoaded(const std::string& model, int64_t version) override;
  void OnModelUnloaded(const std::string& model, int64_t version) override;

 private:
  // What is observed of each version.
  enum Observed { kRequest, kDecode, kQueue, kCompute, kBatchSize, kObservedCount };
  struct VersionSeries {
    prometheus::Gauge* loaded = nullptr;  // null once unloaded
    std::map<absl::StatusCode, prometheus::Counter*> requests;
    std::map<Eviction, prometheus::Counter*> evictions;
    std::array<prometheus::Histogram*, kObservedCount> observed;
  };
  struct ModelSeries {
    prometheus::Gauge* queue_depth;
    std::map<int64_t, VersionSeries> versions;
    std::deque<int64_t> unloaded;  // oldest first
  };

  VersionSeries* Find(const std::string& model, int64_t version) VIT_REQUIRES(mu_);
  void Observe(const std::string& model, int64_t version, Observed what, double value);
  void RemoveVersion(ModelSeries* series, int64_t version) VIT_REQUIRES(mu_);
  void RemoveModel(const std::string& model) VIT_REQUIRES(mu_);

  const size_t kept_versions_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& evictions_;
  const std::array<prometheus::Family<prometheus::Histogram>*, kObservedCount> observed_;
  prometheus::Family<prometheus::Gauge>& queue_depth_;
  prometheus::Family<prometheus::Gauge>& loaded_;

  Mutex mu_;
  std::map<std::string, ModelSeries> models_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_SERVER_METRICS_INFERENCE_METRICS_H_
