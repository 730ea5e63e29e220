#include "core/infer/model_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "core/base/compute/compute_budget.h"

namespace vit {
namespace {

// A model that could not be loaded is not tried again before this time, so that a damaged one costs
// little.
constexpr absl::Duration kRetryDelay = absl::Seconds(10);

}  // namespace

ModelCache::ModelCache(const Options& options) : options_(options) {
  thread_ = ComputeBudget::StartThread("model-load", options_.load_threads, [this] { Loop(); });
}

ModelCache::~ModelCache() {
  std::vector<Callback> waiting;
  {
    MutexLock lock(&mu_);
    closing_ = true;
    changed_.NotifyAll();
    for (auto& [name, entry] : entries_) {
      std::move(entry.waiting.begin(), entry.waiting.end(), std::back_inserter(waiting));
      entry.waiting.clear();
    }
  }
  for (Callback& done : waiting) done(absl::UnavailableError("vitd is shutting down; retry later"));
  thread_.join();
}

void ModelCache::Get(const ServableModel& wanted, Callback done) {
  std::shared_ptr<const FrozenModel> model;
  absl::Status refused;
  {
    MutexLock lock(&mu_);
    Entry& entry = entries_[wanted.name];
    entry.last_use = ++uses_;
    const bool current = entry.current != nullptr && entry.current->version() == wanted.version();
    const bool failed_lately =
        entry.failed_version == wanted.version() && options_.clock->Now() < entry.retry_time;
    if (!current && entry.loading_version < 0 && !failed_lately && !closing_) {
      entry.loading_version = wanted.version();
      to_load_.push_back(wanted);
      changed_.NotifyAll();
    }
    model = entry.current;
    if (model == nullptr) {
      if (closing_) {
        refused = absl::UnavailableError("vitd is shutting down; retry later");
      } else if (entry.loading_version >= 0) {
        entry.waiting.push_back(std::move(done));
        return;
      } else {
        refused = absl::UnavailableError("loading the model failed recently; retry in 10 s");
      }
    }
  }
  if (model != nullptr) {
    done(std::move(model));
  } else {
    done(std::move(refused));
  }
}

void ModelCache::Unload(const std::string& name) {
  std::shared_ptr<const FrozenModel> dropped;
  {
    MutexLock lock(&mu_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    dropped = std::move(found->second.current);
    if (found->second.loading_version < 0) {
      entries_.erase(found);
    } else {
      found->second.unwanted = true;
    }
  }
  if (dropped != nullptr && options_.observer != nullptr) {
    options_.observer->OnModelUnloaded(dropped->name(), dropped->version());
  }
}

void ModelCache::UnloadRun(const std::string& run) {
  std::vector<std::string> names;
  {
    MutexLock lock(&mu_);
    const std::string name = ModelRef::Run(run).ToString();
    for (const auto& [known, entry] : entries_) {
      if (known == name || absl::StartsWith(known, name + "@")) names.push_back(known);
    }
  }
  for (const std::string& name : names) Unload(name);
}

std::map<std::string, int64_t> ModelCache::Loaded() const {
  std::map<std::string, int64_t> loaded;
  MutexLock lock(&mu_);
  for (const auto& [name, entry] : entries_) {
    if (entry.current != nullptr) loaded[name] = entry.current->version();
  }
  return loaded;
}

void ModelCache::Loop() {
  while (true) {
    ServableModel model;
    {
      MutexLock lock(&mu_);
      while (to_load_.empty() && !closing_) changed_.Wait(&mu_);
      if (closing_) return;
      model = std::move(to_load_.front());
      to_load_.pop_front();
    }
    absl::StatusOr<std::shared_ptr<const FrozenModel>> loaded =
        FrozenModel::Load(model, options_.device);
    if (loaded.ok()) {
      if (const absl::Status warm = options_.warm_up(**loaded); !warm.ok()) loaded = warm;
    }
    if (!loaded.ok()) options_.on_failure(loaded.status());
    // From here on only the loaded model keeps the files.
    model.lease.reset();
    Finish(model.name, model.version(), std::move(loaded));
  }
}

void ModelCache::Finish(const std::string& name, int64_t version,
                        absl::StatusOr<std::shared_ptr<const FrozenModel>> loaded) {
  std::vector<Callback> waiting;
  std::vector<std::shared_ptr<const FrozenModel>> dropped;
  {
    MutexLock lock(&mu_);
    Entry& entry = entries_[name];
    entry.loading_version = -1;
    waiting.swap(entry.waiting);
    if (entry.unwanted) {
      entries_.erase(name);
      if (loaded.ok()) dropped.push_back(*loaded);
    } else if (loaded.ok()) {
      if (entry.current != nullptr) dropped.push_back(entry.current);
      entry.current = *loaded;
      for (auto& model : Evict()) dropped.push_back(std::move(model));
    } else {
      entry.failed_version = version;
      entry.retry_time = options_.clock->Now() + kRetryDelay;
    }
  }
  if (options_.observer != nullptr) {
    if (loaded.ok()) options_.observer->OnModelLoaded((*loaded)->name(), (*loaded)->version());
    for (const auto& model : dropped) {
      options_.observer->OnModelUnloaded(model->name(), model->version());
    }
  }
  dropped.clear();  // before the callers get the new one
  for (Callback& done : waiting) done(loaded);
}

std::vector<std::shared_ptr<const FrozenModel>> ModelCache::Evict() {
  std::vector<std::shared_ptr<const FrozenModel>> evicted;
  while (true) {
    auto oldest = entries_.end();
    int loaded = 0;
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->second.current == nullptr) continue;
      ++loaded;
      if (oldest == entries_.end() || it->second.last_use < oldest->second.last_use) oldest = it;
    }
    if (loaded <= options_.max_loaded_models) return evicted;
    evicted.push_back(std::move(oldest->second.current));
    oldest->second.current = nullptr;
    if (oldest->second.loading_version < 0) entries_.erase(oldest);
  }
}

}  // namespace vit
