#include "server/metrics/training_metrics.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "proto/field_names.h"
#include "proto/time.h"

namespace vit {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

Family<Gauge>& AddGauge(prometheus::Registry* registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry);
}
Family<Counter>& AddCounter(prometheus::Registry* registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
}

double UnixSeconds(const google::protobuf::Timestamp& timestamp) {
  return static_cast<double>(timestamp.seconds()) + timestamp.nanos() * 1e-9;
}

// 100 us, for what a step hardly waits for, to 60 s, for a checkpoint of a large model on a slow
// disk.
const Histogram::BucketBoundaries kSeconds = {
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

constexpr char kTrain[] = "train";
constexpr char kValidation[] = "validation";

}  // namespace

// The series of one run. A series appears with its first value and is removed with this object.
class TrainingMetrics::RunSeries {
 public:
  RunSeries(TrainingMetrics* metrics, const std::string& run) : run_(run) {
    epoch_.Open(&metrics->epoch_, Labels());
    progress_.Open(&metrics->progress_, Labels());
    steps_.Open(&metrics->steps_, Labels());
    samples_.Open(&metrics->samples_, Labels());
    bad_images_.Open(&metrics->bad_images_, Labels());
    metrics_ = metrics;
  }

  void Update(const vit::v1::Run& run) {
    epoch_->Set(run.epoch());
    progress_->Set(run.total_steps() > 0 ? static_cast<double>(run.step()) / run.total_steps() : 0);
    if (run.has_last_train()) UpdatePoint(run.last_train());
    if (run.has_last_validation()) UpdatePoint(run.last_validation());
    if (run.has_last_checkpoint()) UpdateCheckpoint(run.last_checkpoint());
  }

  void UpdatePoint(const vit::v1::MetricPoint& point) {
    const bool train = point.split() == vit::v1::SPLIT_TRAIN;
    Split& split = train ? train_ : validation_;
    const prometheus::Labels labels = {{"run", run_}, {"split", train ? kTrain : kValidation}};
    split.loss.Open(&metrics_->loss_, labels)->Set(point.loss());
    split.accuracy.Open(&metrics_->accuracy_, labels)->Set(point.accuracy());
    if (point.has_evaluation()) UpdateEvaluation(point.evaluation());
    if (!train) return;
    learning_rate_.Open(&metrics_->learning_rate_, Labels())->Set(point.learning_rate());
    grad_norm_.Open(&metrics_->grad_norm_, Labels())->Set(point.grad_norm());
  }

  void UpdateEvaluation(const vit::v1::EvaluationMetrics& evaluation) {
    top_k_accuracy_.Open(&metrics_->top_k_accuracy_, Labels())->Set(evaluation.top_k_accuracy());
    recall_.Open(&metrics_->recall_, Labels())->Set(evaluation.recall());
    f1_.Open(&metrics_->f1_, Labels())->Set(evaluation.f1());
    calibration_error_.Open(&metrics_->calibration_error_, Labels())
        ->Set(evaluation.calibration_error());
  }

  void UpdateCheckpoint(const vit::v1::CheckpointInfo& checkpoint) {
    checkpoint_time_.Open(&metrics_->checkpoint_time_, Labels())
        ->Set(UnixSeconds(checkpoint.time()));
  }

  void AddStep(const TrainObserver::Step& step) {
    steps_->Increment();
    samples_->Increment(step.samples);
  }
  void AddBadImage() { bad_images_->Increment(); }

 private:
  // One series: added to its family when first opened, removed on destruction.
  template <typename T>
  class Series {
   public:
    Series() = default;
    Series(const Series&) = delete;
    ~Series() {
      if (metric_ != nullptr) family_->Remove(metric_);
    }
    T* Open(Family<T>* family, const prometheus::Labels& labels) {
      if (metric_ == nullptr) {
        family_ = family;
        metric_ = &family->Add(labels);
      }
      return metric_;
    }
    T* operator->() { return metric_; }

   private:
    Family<T>* family_ = nullptr;
    T* metric_ = nullptr;
  };
  struct Split {
    Series<Gauge> loss, accuracy;
  };

  prometheus::Labels Labels() const { return {{"run", run_}}; }

  const std::string run_;
  TrainingMetrics* metrics_;
  Split train_, validation_;
  Series<Gauge> top_k_accuracy_, recall_, f1_, calibration_error_;
  Series<Gauge> learning_rate_, epoch_, progress_, grad_norm_, checkpoint_time_;
  Series<Counter> steps_, samples_, bad_images_;
};

TrainingMetrics::TrainingMetrics(prometheus::Registry* registry, int max_runs)
    : max_runs_(max_runs),
      loss_(
          AddGauge(registry, "vitd_training_loss",
                   "Loss at the run's newest point: as trained for the training split, mean cross "
                   "entropy for the validation split.")),
      accuracy_(AddGauge(
          registry, "vitd_training_accuracy_ratio",
          "Fraction of the images classified correctly at the run's newest point of each split.")),
      top_k_accuracy_(
          AddGauge(registry, "vitd_training_top_k_accuracy_ratio",
                   "Fraction of the validation images whose label is among the k highest scores.")),
      recall_(AddGauge(registry, "vitd_training_recall_ratio",
                       "Mean recall over the classes on the validation split.")),
      f1_(AddGauge(registry, "vitd_training_f1_ratio",
                   "Mean F1 over the classes on the validation split.")),
      calibration_error_(AddGauge(registry, "vitd_training_calibration_error_ratio",
                                  "Expected calibration error on the validation split.")),
      learning_rate_(
          AddGauge(registry, "vitd_training_learning_rate", "Learning rate at the newest point.")),
      epoch_(AddGauge(registry, "vitd_training_epoch", "Passes done over the training split.")),
      progress_(
          AddGauge(registry, "vitd_training_progress_ratio", "Fraction of the run's steps done.")),
      grad_norm_(AddGauge(registry, "vitd_training_grad_norm",
                          "Norm of the gradient before clipping at the newest point.")),
      steps_(AddCounter(registry, "vitd_training_steps_total",
                        "Optimizer updates done by this process.")),
      samples_(
          AddCounter(registry, "vitd_training_samples_total",
                     "Images trained on by this process; its rate is the training throughput.")),
      bad_images_(AddCounter(registry, "vitd_training_bad_images_total",
                             "Images of the data set found unreadable by this process.")),
      checkpoint_time_(AddGauge(registry, "vitd_checkpoint_last_success_timestamp_seconds",
                                "When the run's newest checkpoint was written, in Unix time.")),
      runs_by_state_(AddGauge(registry, "vitd_runs", "Runs in each state.")) {
  auto& steps =
      prometheus::BuildHistogram()
          .Name("vitd_training_step_seconds")
          .Help("Time per training step: waiting for data, computing, held up by a checkpoint.")
          .Register(*registry);
  data_wait_seconds_ = &steps.Add({{"phase", "data_wait"}}, kSeconds);
  compute_seconds_ = &steps.Add({{"phase", "compute"}}, kSeconds);
  checkpoint_seconds_ = &steps.Add({{"phase", "checkpoint"}}, kSeconds);
  yield_seconds_ = &prometheus::BuildCounter()
                        .Name("vitd_training_yield_seconds_total")
                        .Help("Time that training paused for the serving objective.")
                        .Register(*registry)
                        .Add({});
  checkpoint_write_seconds_ = &prometheus::BuildHistogram()
                                   .Name("vitd_checkpoint_write_seconds")
                                   .Help("Time to write one checkpoint, beside training.")
                                   .Register(*registry)
                                   .Add({}, kSeconds);
  // Every state from the beginning: a series that first appears at 1 shows no increase.
  const auto* states = vit::v1::RunState_descriptor();
  for (int i = 0; i < states->value_count(); ++i) {
    if (states->value(i)->number() == vit::v1::RUN_STATE_UNSPECIFIED) continue;
    runs_by_state_.Add({{"state", ShortEnumName(states->value(i))}});
  }
}

TrainingMetrics::~TrainingMetrics() = default;

void TrainingMetrics::OnRunChanged(const vit::v1::Run& run) {
  MutexLock lock(&mu_);
  Update(run);
}

void TrainingMetrics::OnMetrics(const vit::v1::Run& run, const vit::v1::MetricPoint& point) {
  MutexLock lock(&mu_);
  Update(run);
  const vit::v1::MetricPoint& last =
      point.split() == vit::v1::SPLIT_TRAIN ? run.last_train() : run.last_validation();
  if (point.step() < last.step()) return;  // `run` is newer than the point
  if (RunSeries* series = FindSeries(run.id())) series->UpdatePoint(point);
}

void TrainingMetrics::OnStep(const std::string& run, const TrainObserver::Step& step) {
  data_wait_seconds_->Observe(absl::ToDoubleSeconds(step.data_wait));
  compute_seconds_->Observe(absl::ToDoubleSeconds(step.compute));
  // Counts only the steps that were held up; the others would drown them out.
  if (step.checkpoint > absl::ZeroDuration()) {
    checkpoint_seconds_->Observe(absl::ToDoubleSeconds(step.checkpoint));
  }
  MutexLock lock(&mu_);
  if (RunSeries* series = FindSeries(run)) series->AddStep(step);
}

void TrainingMetrics::OnCheckpoint(const std::string& run,
                                   const vit::v1::CheckpointInfo& checkpoint,
                                   absl::Duration write_time) {
  checkpoint_write_seconds_->Observe(absl::ToDoubleSeconds(write_time));
  MutexLock lock(&mu_);
  if (RunSeries* series = FindSeries(run)) series->UpdateCheckpoint(checkpoint);
}

void TrainingMetrics::OnBadImage(const std::string& run, const std::string&, const absl::Status&) {
  MutexLock lock(&mu_);
  if (RunSeries* series = FindSeries(run)) series->AddBadImage();
}

void TrainingMetrics::OnPause(absl::Duration pause) {
  yield_seconds_->Increment(absl::ToDoubleSeconds(pause));
}

void TrainingMetrics::OnRunDeleted(const std::string& run) {
  MutexLock lock(&mu_);
  const auto it = runs_.find(run);
  if (it == runs_.end()) return;
  runs_by_state_
      .Add({{"state",
             ShortEnumName(vit::v1::RunState_descriptor()->FindValueByNumber(it->second.state))}})
      .Decrement();
  if (it->second.series != nullptr) --with_series_;
  runs_.erase(it);
}

void TrainingMetrics::Update(const vit::v1::Run& run) {
  KnownRun& known = runs_[run.id()];
  if (known.state != run.state()) {
    const auto gauge = [&](vit::v1::RunState state) -> Gauge& {
      return runs_by_state_.Add(
          {{"state", ShortEnumName(vit::v1::RunState_descriptor()->FindValueByNumber(state))}});
    };
    if (known.state != vit::v1::RUN_STATE_UNSPECIFIED) gauge(known.state).Decrement();
    gauge(run.state()).Increment();
    known.state = run.state();
  }
  const bool active =
      run.state() == vit::v1::RUN_STATE_RUNNING || run.state() == vit::v1::RUN_STATE_STOPPING;
  known.rank =
      Rank(active, run.has_start_time() ? FromProto(run.start_time()) : absl::InfinitePast());
  // A run that has never started has nothing to show.
  if (known.series == nullptr && (active || run.has_start_time())) Admit(run.id(), &known);
  if (known.series != nullptr) known.series->Update(run);
}

void TrainingMetrics::Admit(const std::string& id, KnownRun* known) {
  if (with_series_ >= max_runs_) {
    KnownRun* lowest = nullptr;
    for (auto& [other_id, other] : runs_) {
      if (other.series != nullptr && (lowest == nullptr || other.rank < lowest->rank)) {
        lowest = &other;
      }
    }
    if (lowest == nullptr || known->rank < lowest->rank) return;
    lowest->series.reset();
    --with_series_;
  }
  known->series = std::make_unique<RunSeries>(this, id);
  ++with_series_;
}

TrainingMetrics::RunSeries* TrainingMetrics::FindSeries(const std::string& run) {
  const auto it = runs_.find(run);
  return it == runs_.end() ? nullptr : it->second.series.get();
}

}  // namespace vit
