// The inference metrics for Prometheus.
#ifndef VIT_SERVER_METRICS_INFERENCE_METRICS_H_
#define VIT_SERVER_METRICS_INFERENCE_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"

namespace vit {

// Keeps the vitd_inference_* and vitd_model_loaded series up to date. Removes a model's series when
// its last version is unloaded; until then keeps the counts of the newest `kept_versions` unloaded
// versions, so that the last scrape sees them. Counts requests that name no loaded model under
// model "unknown", so that clients cannot create series. Thread-safe.
class InferenceMetrics : public InferenceObserver {
 public:
  // `registry` must outlive this.
  explicit InferenceMetrics(prometheus::Registry* registry, int kept_versions = 3);
  ~InferenceMetrics() override;

  void OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                   absl::Duration total) override;
  void OnBatch(const std::string& model, int batch_size, absl::Duration compute) override;
  void OnQueued(const std::string& model, absl::Duration queue_time) override;
  void OnQueueDepth(const std::string& model, int depth) override;
  void OnModelLoaded(const std::string& model, int64_t version) override;
  void OnModelUnloaded(const std::string& model, int64_t version) override;

 private:
  struct VersionSeries {
    prometheus::Gauge* loaded = nullptr;  // null once unloaded
    std::map<absl::StatusCode, prometheus::Counter*> requests;
  };
  struct ModelSeries {
    prometheus::Histogram* request_seconds;
    prometheus::Histogram* queue_seconds;
    prometheus::Histogram* compute_seconds;
    prometheus::Histogram* batch_size;
    prometheus::Gauge* queue_depth;
    std::map<int64_t, VersionSeries> versions;
    std::deque<int64_t> unloaded;  // oldest first
  };

  ModelSeries* Find(const std::string& model) VIT_REQUIRES(mu_);
  void RemoveVersion(ModelSeries* series, int64_t version) VIT_REQUIRES(mu_);
  void RemoveModel(const std::string& model) VIT_REQUIRES(mu_);

  const size_t kept_versions_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& request_seconds_;
  prometheus::Family<prometheus::Histogram>& queue_seconds_;
  prometheus::Family<prometheus::Histogram>& compute_seconds_;
  prometheus::Family<prometheus::Histogram>& batch_size_;
  prometheus::Family<prometheus::Gauge>& queue_depth_;
  prometheus::Family<prometheus::Gauge>& loaded_;

  Mutex mu_;
  std::map<std::string, ModelSeries> models_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_SERVER_METRICS_INFERENCE_METRICS_H_
