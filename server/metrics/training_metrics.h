// The training metrics for Prometheus.
#ifndef VIT_SERVER_METRICS_TRAINING_METRICS_H_
#define VIT_SERVER_METRICS_TRAINING_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "core/runs/run_manager.h"

namespace vit {

// Keeps the vitd_training_*, vitd_checkpoint_* and vitd_runs series up to date with the events that
// it receives. Only the `max_runs` most recently started runs have their own series, running ones
// first; a run that drops out, or is deleted, loses its series. Gauges show what Status shows.
// Thread-safe.
class TrainingMetrics : public RunListener {
 public:
  // `registry` must outlive this.
  explicit TrainingMetrics(prometheus::Registry* registry, int max_runs = 20);
  ~TrainingMetrics() override;

  void OnRunChanged(const vit::v1::Run& run) override;
  void OnStep(const std::string& run, const TrainObserver::Step& step) override;
  void OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) override;
  void OnCheckpoint(const std::string& run, const vit::v1::CheckpointInfo& checkpoint,
                    absl::Duration write_time) override;
  void OnCheckpointFailed(const std::string& run, int64_t step, const absl::Status& why) override {}
  void OnBadImage(const std::string& run, const std::string& name,
                  const absl::Status& why) override;
  void OnRunDeleted(const std::string& run) override;
  // Training paused for serving.
  void OnPause(absl::Duration pause);

 private:
  class RunSeries;
  // Higher is later: whether it runs now, when it started.
  using Rank = std::tuple<bool, absl::Time>;
  struct KnownRun {
    vit::v1::RunState state = vit::v1::RUN_STATE_UNSPECIFIED;
    Rank rank;
    std::unique_ptr<RunSeries> series;  // null if it is not among the latest
  };

  void Update(const vit::v1::Run& run) VIT_REQUIRES(mu_);
  // Gives `known` series if it belongs to the latest, and takes them from the run that it pushes
  // out.
  void Admit(const std::string& id, KnownRun* known) VIT_REQUIRES(mu_);
  RunSeries* FindSeries(const std::string& run) VIT_REQUIRES(mu_);

  const size_t max_runs_;
  // The families; the registry owns them and they live as long as it does.
  prometheus::Family<prometheus::Gauge>& loss_;
  prometheus::Family<prometheus::Gauge>& accuracy_;
  prometheus::Family<prometheus::Gauge>& top_k_accuracy_;
  prometheus::Family<prometheus::Gauge>& recall_;
  prometheus::Family<prometheus::Gauge>& f1_;
  prometheus::Family<prometheus::Gauge>& calibration_error_;
  prometheus::Family<prometheus::Gauge>& learning_rate_;
  prometheus::Family<prometheus::Gauge>& epoch_;
  prometheus::Family<prometheus::Gauge>& progress_;
  prometheus::Family<prometheus::Gauge>& grad_norm_;
  prometheus::Family<prometheus::Counter>& steps_;
  prometheus::Family<prometheus::Counter>& samples_;
  prometheus::Family<prometheus::Counter>& bad_images_;
  prometheus::Family<prometheus::Gauge>& checkpoint_time_;
  prometheus::Family<prometheus::Gauge>& runs_by_state_;
  prometheus::Counter* yield_seconds_;
  prometheus::Histogram* data_wait_seconds_;
  prometheus::Histogram* compute_seconds_;
  prometheus::Histogram* checkpoint_seconds_;
  prometheus::Histogram* checkpoint_write_seconds_;

  Mutex mu_;
  std::map<std::string, KnownRun> runs_ VIT_GUARDED_BY(mu_);
  size_t with_series_ VIT_GUARDED_BY(mu_) = 0;
};

}  // namespace vit

#endif  // VIT_SERVER_METRICS_TRAINING_METRICS_H_
