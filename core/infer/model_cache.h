// Loaded models by name, each replaced when there is a newer version of it to serve.
#ifndef VIT_CORE_INFER_MODEL_CACHE_H_
#define VIT_CORE_INFER_MODEL_CACHE_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/infer/frozen_model.h"
#include "core/infer/inference_engine.h"

namespace vit {

// Loads on a thread of its own. While a newer version of a loaded model is read, the older one
// keeps answering. Of the loaded models, the `max_loaded_models` last used are kept.
//
// Thread-safe. Destruction answers whoever waits with UNAVAILABLE.
class ModelCache {
 public:
  using Callback = std::function<void(absl::StatusOr<std::shared_ptr<const FrozenModel>>)>;

  struct Options {
    Device device = Device::Cpu();
    int load_threads = 1;    // LibTorch's, while a model is read and warmed up
    int max_batch_size = 1;  // that models are warmed up for
    int max_loaded_models = 4;
    InferenceObserver* observer = nullptr;
    // A model could not be loaded. On the loading thread.
    std::function<void(const absl::Status& why)> on_failure = [](const absl::Status&) {};
    Clock* clock = Clock::Real();
  };

  explicit ModelCache(const Options& options);
  ~ModelCache();

  // The model to answer with, now that `wanted` is the version to serve. `done` runs once: at once
  // on this thread where a version of that name is loaded, else when it is.
  void Get(const ServableModel& wanted, Callback done);

  // Drops the model, and one that is being loaded once who waits for it has it.
  void Unload(const std::string& name);

  // The versions in memory, by name.
  std::map<std::string, int64_t> Loaded() const;

 private:
  struct Entry {
    std::shared_ptr<const FrozenModel> current;
    int64_t loading_version = -1;  // -1: none is being loaded
    // A version that could not be loaded is not tried again before this time.
    int64_t failed_version = -1;
    absl::Time retry_time = absl::InfinitePast();
    std::vector<Callback> waiting;
    uint64_t last_use = 0;
    bool unwanted = false;  // is dropped when it is loaded
  };

  void Loop();
  void Finish(const std::string& name, int64_t version,
              absl::StatusOr<std::shared_ptr<const FrozenModel>> loaded);
  // Takes out what is over the limit; the caller drops it without the lock.
  std::vector<std::shared_ptr<const FrozenModel>> Evict() VIT_REQUIRES(mu_);

  const Options options_;
  mutable Mutex mu_;
  CondVar changed_;
  std::map<std::string, Entry> entries_ VIT_GUARDED_BY(mu_);
  std::deque<ServableModel> to_load_ VIT_GUARDED_BY(mu_);
  uint64_t uses_ VIT_GUARDED_BY(mu_) = 0;
  bool closing_ VIT_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: joins before what it uses goes
};

}  // namespace vit

#endif  // VIT_CORE_INFER_MODEL_CACHE_H_
