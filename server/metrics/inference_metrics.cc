#include "server/metrics/inference_metrics.h"

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

using prometheus::Histogram;

Histogram::BucketBoundaries Seconds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
}

prometheus::Family<Histogram>& AddHistogram(prometheus::Registry* registry, const char* name,
                                            const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry);
}

}  // namespace

InferenceMetrics::InferenceMetrics(prometheus::Registry* registry, int kept_versions)
    : kept_versions_(kept_versions),
      requests_(prometheus::BuildCounter()
                    .Name("vitd_inference_requests_total")
                    .Help("Images answered, by model, version and status code.")
                    .Register(*registry)),
      request_seconds_(AddHistogram(registry, "vitd_inference_request_seconds",
                                    "Time from an image's arrival to its answer.")),
      queue_seconds_(AddHistogram(registry, "vitd_inference_queue_seconds",
                                  "Time that an image waits for its batch.")),
      compute_seconds_(AddHistogram(registry, "vitd_inference_compute_seconds",
                                    "Time of one batch's forward pass.")),
      batch_size_(AddHistogram(registry, "vitd_inference_batch_size", "Images in a batch.")),
      queue_depth_(prometheus::BuildGauge()
                       .Name("vitd_inference_queue_depth")
                       .Help("Images that wait for a batch.")
                       .Register(*registry)),
      loaded_(prometheus::BuildGauge()
                  .Name("vitd_model_loaded")
                  .Help("1 for each version of a model that is in memory.")
                  .Register(*registry)) {}

InferenceMetrics::~InferenceMetrics() = default;

InferenceMetrics::ModelSeries* InferenceMetrics::Find(const std::string& model) {
  const auto it = models_.find(model);
  return it == models_.end() ? nullptr : &it->second;
}

void InferenceMetrics::OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                                   absl::Duration total) {
  const std::string code_name = absl::StatusCodeToString(code);
  MutexLock lock(&mu_);
  ModelSeries* series = Find(model);
  const auto known = series == nullptr ? std::map<int64_t, VersionSeries>::iterator()
                                       : series->versions.find(version);
  if (series == nullptr || known == series->versions.end()) {
    requests_.Add({{"model", "unknown"}, {"version", ""}, {"code", code_name}}).Increment();
    return;
  }
  prometheus::Counter*& counter = known->second.requests[code];
  if (counter == nullptr) {
    counter =
        &requests_.Add({{"model", model}, {"version", absl::StrCat(version)}, {"code", code_name}});
  }
  counter->Increment();
  series->request_seconds->Observe(absl::ToDoubleSeconds(total));
}

void InferenceMetrics::OnBatch(const std::string& model, int batch_size, absl::Duration compute) {
  MutexLock lock(&mu_);
  if (ModelSeries* series = Find(model)) {
    series->batch_size->Observe(batch_size);
    series->compute_seconds->Observe(absl::ToDoubleSeconds(compute));
  }
}

void InferenceMetrics::OnQueued(const std::string& model, absl::Duration queue_time) {
  MutexLock lock(&mu_);
  if (ModelSeries* series = Find(model)) {
    series->queue_seconds->Observe(absl::ToDoubleSeconds(queue_time));
  }
}

void InferenceMetrics::OnQueueDepth(const std::string& model, int depth) {
  MutexLock lock(&mu_);
  if (ModelSeries* series = Find(model)) series->queue_depth->Set(depth);
}

void InferenceMetrics::OnModelLoaded(const std::string& model, int64_t version) {
  MutexLock lock(&mu_);
  ModelSeries* series = Find(model);
  if (series == nullptr) {
    const prometheus::Labels labels = {{"model", model}};
    series = &models_[model];
    series->request_seconds = &request_seconds_.Add(labels, Seconds());
    series->queue_seconds = &queue_seconds_.Add(labels, Seconds());
    series->compute_seconds = &compute_seconds_.Add(labels, Seconds());
    series->batch_size =
        &batch_size_.Add(labels, Histogram::BucketBoundaries{1, 2, 4, 8, 16, 32, 64, 128, 256});
    series->queue_depth = &queue_depth_.Add(labels);
  }
  VersionSeries& loaded = series->versions[version];
  std::erase(series->unloaded, version);
  loaded.loaded = &loaded_.Add({{"model", model}, {"version", absl::StrCat(version)}});
  loaded.loaded->Set(1);
}

void InferenceMetrics::OnModelUnloaded(const std::string& model, int64_t version) {
  MutexLock lock(&mu_);
  ModelSeries* series = Find(model);
  if (series == nullptr) return;
  const auto it = series->versions.find(version);
  if (it == series->versions.end() || it->second.loaded == nullptr) return;
  loaded_.Remove(it->second.loaded);
  it->second.loaded = nullptr;
  series->unloaded.push_back(version);
  if (series->unloaded.size() == series->versions.size()) return RemoveModel(model);
  if (series->unloaded.size() > kept_versions_) {
    RemoveVersion(series, series->unloaded.front());
    series->unloaded.pop_front();
  }
}

void InferenceMetrics::RemoveVersion(ModelSeries* series, int64_t version) {
  const auto it = series->versions.find(version);
  for (const auto& [code, counter] : it->second.requests) requests_.Remove(counter);
  series->versions.erase(it);
}

void InferenceMetrics::RemoveModel(const std::string& model) {
  ModelSeries& series = models_[model];
  while (!series.versions.empty()) RemoveVersion(&series, series.versions.begin()->first);
  request_seconds_.Remove(series.request_seconds);
  queue_seconds_.Remove(series.queue_seconds);
  compute_seconds_.Remove(series.compute_seconds);
  batch_size_.Remove(series.batch_size);
  queue_depth_.Remove(series.queue_depth);
  models_.erase(model);
}

}  // namespace vit
