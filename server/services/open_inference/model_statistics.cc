#include "server/services/open_inference/model_statistics.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/services/open_inference/model_tensors.h"

namespace vit {
namespace {

// Returns the name without a version of the model that the engine calls `model`.
std::string BaseName(const std::string& model) {
  const absl::StatusOr<ModelRef> ref = ModelRef::Parse(model);
  return ref.ok() ? ModelName(*ref) : model;
}

}  // namespace

ModelStatistics::Version* ModelStatistics::Find(const std::string& model, int64_t version) {
  const auto known = models_.find(BaseName(model));
  if (known == models_.end()) return nullptr;
  const auto it = known->second.versions.find(version);
  return it == known->second.versions.end() ? nullptr : &it->second;
}

void ModelStatistics::OnImageDone(const std::string& model, int64_t version, absl::StatusCode code,
                                  absl::Duration total) {
  MutexLock lock(&mu_);
  Version* const stats = Find(model, version);
  if (stats == nullptr) return;
  (code == absl::StatusCode::kOk ? stats->success : stats->fail).Add(total);
}

void ModelStatistics::OnDecoded(const std::string& model, int64_t version, absl::Duration time) {
  MutexLock lock(&mu_);
  if (Version* const stats = Find(model, version)) stats->decode += time;
}

void ModelStatistics::OnQueued(const std::string& model, int64_t version,
                               absl::Duration queue_time) {
  MutexLock lock(&mu_);
  if (Version* const stats = Find(model, version)) stats->queue.Add(queue_time);
}

void ModelStatistics::OnBatch(const std::string& model, int64_t version, int batch_size,
                              absl::Duration compute) {
  const absl::Time now = clock_->Now();
  MutexLock lock(&mu_);
  Version* const stats = Find(model, version);
  if (stats == nullptr) return;
  stats->compute.Add(compute, batch_size);
  stats->batches[batch_size].Add(compute);
  stats->last_batch = now;
}

void ModelStatistics::OnModelLoaded(const std::string& model, int64_t version) {
  MutexLock lock(&mu_);
  Model& known = models_[BaseName(model)];
  std::erase(known.unloaded, version);
  known.versions[version].loaded_as.insert(model);
}

void ModelStatistics::OnModelUnloaded(const std::string& model, int64_t version) {
  MutexLock lock(&mu_);
  const auto known = models_.find(BaseName(model));
  if (known == models_.end()) return;
  Model& stats = known->second;
  const auto it = stats.versions.find(version);
  if (it == stats.versions.end() || it->second.loaded_as.erase(model) == 0) return;
  if (!it->second.loaded_as.empty()) return;
  stats.unloaded.push_back(version);
  if (stats.unloaded.size() == stats.versions.size()) {
    models_.erase(known);
  } else if (stats.unloaded.size() > kept_versions_) {
    stats.versions.erase(stats.unloaded.front());
    stats.unloaded.pop_front();
  }
}

std::vector<inference::ModelStatistics> ModelStatistics::Of(const ModelRef& ref) const {
  MutexLock lock(&mu_);
  std::vector<inference::ModelStatistics> found;
  const auto known = models_.find(ModelName(ref));
  if (known == models_.end()) return found;
  for (const auto& [number, version] : known->second.versions) {
    if (ref.number != ModelRef::kServed && ref.number != number) continue;
    found.push_back(ToMessage(known->first, number, version));
  }
  return found;
}

std::vector<inference::ModelStatistics> ModelStatistics::All() const {
  MutexLock lock(&mu_);
  std::vector<inference::ModelStatistics> all;
  for (const auto& [name, model] : models_) {
    for (const auto& [number, version] : model.versions) {
      all.push_back(ToMessage(name, number, version));
    }
  }
  return all;
}

inference::ModelStatistics ModelStatistics::ToMessage(const std::string& name, int64_t number,
                                                      const Version& version) {
  const auto set = [](const Times& times, inference::StatisticDuration* message) {
    message->set_count(times.count);
    message->set_ns(absl::ToInt64Nanoseconds(times.total));
  };
  inference::ModelStatistics message;
  message.set_name(name);
  message.set_version(absl::StrCat(number));
  message.set_last_inference(absl::ToUnixMillis(version.last_batch));
  message.set_inference_count(version.compute.count);
  inference::InferStatistics* stats = message.mutable_inference_stats();
  set(version.success, stats->mutable_success());
  set(version.fail, stats->mutable_fail());
  set(version.queue, stats->mutable_queue());
  set(version.compute, stats->mutable_compute_infer());
  // Clients expect the three counts to be the same; Triton's perf_analyzer ends if they are not.
  const Times decode = {.count = version.compute.count, .total = version.decode};
  set(decode, stats->mutable_compute_input());
  set({.count = version.compute.count, .total = absl::ZeroDuration()},
      stats->mutable_compute_output());
  uint64_t batches = 0;
  for (const auto& [size, times] : version.batches) {
    batches += times.count;
    inference::InferBatchStatistics* batch = message.add_batch_stats();
    batch->set_batch_size(size);
    set(times, batch->mutable_compute_infer());
  }
  message.set_execution_count(batches);
  return message;
}

}  // namespace vit
