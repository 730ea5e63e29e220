#include "server/metrics/inference_metrics.h"

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

using prometheus::Histogram;

Histogram::BucketBoundaries Seconds() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
}

prometheus::Family<Histogram>* AddHistogram(prometheus::Registry* registry, const char* name,
                                            const char* help) {
  return &prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
}

prometheus::Family<prometheus::Counter>& AddCounter(prometheus::Registry* registry,
                                                    const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry);
}

const char* ReasonName(Eviction why) {
  switch (why) {
    case Eviction::kDeadline:
      return "deadline";
    case Eviction::kCancelled:
      return "cancelled";
    case Eviction::kShutdown:
      break;
  }
  return "shutdown";
}

}  // namespace

InferenceMetrics::InferenceMetrics(prometheus::Registry* registry, int kept_versions)
    : kept_versions_(kept_versions),
      requests_(AddCounter(registry, "vitd_inference_requests_total",
                           "Images answered, by model, version and status code.")),
      evictions_(AddCounter(registry, "vitd_inference_evictions_total",
                            "Images given up before they were computed, by model, version and "
                            "reason: deadline, cancelled or shutdown.")),
      observed_({AddHistogram(registry, "vitd_inference_request_seconds",
                              "Time from an image's arrival to its answer."),
                 AddHistogram(registry, "vitd_inference_decode_seconds",
                              "Time to decode and preprocess an image."),
                 AddHistogram(registry, "vitd_inference_queue_seconds",
                              "Time that an image waits for its batch."),
                 AddHistogram(registry, "vitd_inference_compute_seconds",
                              "Time of one batch's forward pass."),
                 AddHistogram(registry, "vitd_inference_batch_size", "Images in a batch.")}),
      queue_depth_(prometheus::BuildGauge()
                       .Name("vitd_inference_queue_depth")
                       .Help("Images that wait for a batch.")
                       .Register(*registry)),
      loaded_(prometheus::BuildGauge()
                  .Name("vitd_model_loaded")
                  .Help("1 for each version of a model that is in memory.")
                  .Register(*registry)) {}

InferenceMetrics::~InferenceMetrics() = default;

InferenceMetrics::VersionSeries* InferenceMetrics::Find(const std::string& model, int64_t version) {
  const auto series = models_.find(model);
  if (series == models_.end()) return nullptr;
  const auto known = series->second.versions.find(version);
  return known == series->second.versions.end() ? nullptr : &known->second;
}

void InferenceMetrics::Observe(const std::string& model, int64_t version, Observed what,
                               double value) {
  MutexLock lock(&mu_);
  if (VersionSeries* series = Find(model, version)) series->observed[what]->Observe(value);
}

void InferenceMetrics::OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                                   absl::Duration total) {
  const std::string code_name = absl::StatusCodeToString(code);
  MutexLock lock(&mu_);
  VersionSeries* series = Find(model, version);
  if (series == nullptr) {
    requests_.Add({{"model", "unknown"}, {"version", ""}, {"code", code_name}}).Increment();
    return;
  }
  prometheus::Counter*& counter = series->requests[code];
  if (counter == nullptr) {
    counter =
        &requests_.Add({{"model", model}, {"version", absl::StrCat(version)}, {"code", code_name}});
  }
  counter->Increment();
  series->observed[kRequest]->Observe(absl::ToDoubleSeconds(total));
}

void InferenceMetrics::OnDecoded(const std::string& model, int64_t version, absl::Duration time) {
  Observe(model, version, kDecode, absl::ToDoubleSeconds(time));
}

void InferenceMetrics::OnQueued(const std::string& model, int64_t version,
                                absl::Duration queue_time) {
  Observe(model, version, kQueue, absl::ToDoubleSeconds(queue_time));
}

void InferenceMetrics::OnBatch(const std::string& model, int64_t version, int batch_size,
                               absl::Duration compute) {
  Observe(model, version, kBatchSize, batch_size);
  Observe(model, version, kCompute, absl::ToDoubleSeconds(compute));
}

void InferenceMetrics::OnEvicted(const std::string& model, int64_t version, Eviction why) {
  MutexLock lock(&mu_);
  VersionSeries* series = Find(model, version);
  if (series == nullptr) return;
  series->evictions[why]->Increment();
}

void InferenceMetrics::OnQueueDepth(const std::string& model, int depth) {
  MutexLock lock(&mu_);
  const auto series = models_.find(model);
  if (series != models_.end()) series->second.queue_depth->Set(depth);
}

void InferenceMetrics::OnModelLoaded(const std::string& model, int64_t version) {
  MutexLock lock(&mu_);
  const auto [known, is_new] = models_.try_emplace(model);
  ModelSeries& series = known->second;
  if (is_new) series.queue_depth = &queue_depth_.Add({{"model", model}});
  std::erase(series.unloaded, version);
  const prometheus::Labels labels = {{"model", model}, {"version", absl::StrCat(version)}};
  const auto [loaded, is_new_version] = series.versions.try_emplace(version);
  if (is_new_version) {
    // From the start, so that the first eviction is seen as an increase.
    for (const Eviction why : {Eviction::kDeadline, Eviction::kCancelled, Eviction::kShutdown}) {
      prometheus::Labels with_reason = labels;
      with_reason["reason"] = ReasonName(why);
      loaded->second.evictions[why] = &evictions_.Add(with_reason);
    }
    for (int what = 0; what < kObservedCount; ++what) {
      loaded->second.observed[what] = &observed_[what]->Add(
          labels, what == kBatchSize ? Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256}
                                     : Seconds());
    }
  }
  loaded->second.loaded = &loaded_.Add(labels);
  loaded->second.loaded->Set(1);
}

void InferenceMetrics::OnModelUnloaded(const std::string& model, int64_t version) {
  MutexLock lock(&mu_);
  const auto known = models_.find(model);
  if (known == models_.end()) return;
  ModelSeries& series = known->second;
  const auto it = series.versions.find(version);
  if (it == series.versions.end() || it->second.loaded == nullptr) return;
  loaded_.Remove(it->second.loaded);
  it->second.loaded = nullptr;
  series.unloaded.push_back(version);
  if (series.unloaded.size() == series.versions.size()) return RemoveModel(model);
  if (series.unloaded.size() > kept_versions_) {
    RemoveVersion(&series, series.unloaded.front());
    series.unloaded.pop_front();
  }
}

void InferenceMetrics::RemoveVersion(ModelSeries* series, int64_t version) {
  const auto it = series->versions.find(version);
  for (const auto& [code, counter] : it->second.requests) requests_.Remove(counter);
  for (const auto& [why, counter] : it->second.evictions) evictions_.Remove(counter);
  for (int what = 0; what < kObservedCount; ++what) {
    observed_[what]->Remove(it->second.observed[what]);
  }
  series->versions.erase(it);
}

void InferenceMetrics::RemoveModel(const std::string& model) {
  ModelSeries& series = models_[model];
  while (!series.versions.empty()) RemoveVersion(&series, series.versions.begin()->first);
  queue_depth_.Remove(series.queue_depth);
  models_.erase(model);
}

}  // namespace vit
