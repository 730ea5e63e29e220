// Loaded models by name, each replaced when there is a newer version to serve.
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

// Loads models on its own thread. While a newer version of a loaded model is read, the older one
// keeps answering. Keeps the `max_loaded_models` that were last used.
//
// Thread-safe. Destruction answers waiting callers with UNAVAILABLE.
class ModelCache {
 public:
  using Callback = std::function<void(absl::StatusOr<std::shared_ptr<const FrozenModel>>)>;

  struct Options {
    Device device = Device::Cpu();
    int load_threads = 1;  // LibTorch's, while a model is read and warmed up
    int max_loaded_models = 4;
    // Called on the loading thread for a model that is about to be used.
    std::function<absl::Status(const FrozenModel& model)> warm_up = [](const FrozenModel& model) {
      ComputeTeam alone("warm-up", 1);
      return model.WarmUp(1, &alone);
    };
    InferenceObserver* observer = nullptr;
    // Called on the loading thread when a model could not be loaded.
    std::function<void(const absl::Status& why)> on_failure = [](const absl::Status&) {};
    Clock* clock = Clock::Real();
  };

  explicit ModelCache(const Options& options);
  ~ModelCache();

  // Gets the model to answer with, now that `wanted` is the version to serve. `done` runs once:
  // immediately on this thread if a version of that name is loaded, else when it is.
  void Get(const ServableModel& wanted, Callback done);

  // Drops the model; one that is being loaded once its waiting callers have it.
  void Unload(const std::string& name);

  // Does the same for every model of the run, whatever its step.
  void UnloadRun(const std::string& run);

  // Returns the versions in memory, by name.
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
    bool unwanted = false;  // dropped when it is loaded
  };

  void Loop();
  void Finish(const std::string& name, int64_t version,
              absl::StatusOr<std::shared_ptr<const FrozenModel>> loaded);
  // Takes out the models over the limit; the caller drops them without holding the lock.
  std::vector<std::shared_ptr<const FrozenModel>> Evict() VIT_REQUIRES(mu_);

  const Options options_;
  mutable Mutex mu_;
  CondVar changed_;
  std::map<std::string, Entry> entries_ VIT_GUARDED_BY(mu_);
  std::deque<ServableModel> to_load_ VIT_GUARDED_BY(mu_);
  uint64_t uses_ VIT_GUARDED_BY(mu_) = 0;
  bool closing_ VIT_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: joined before what it uses is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_INFER_MODEL_CACHE_H_
