// Unloads the models of deleted runs from the engine.
#ifndef VIT_SERVER_MODEL_UNLOADER_H_
#define VIT_SERVER_MODEL_UNLOADER_H_

#include <string>

#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "core/runs/run_listener.h"

namespace vit {

// Thread-safe.
class ModelUnloader : public RunListener {
 public:
  // Must be set to null before the engine is destroyed.
  void SetEngine(InferenceEngine* engine) {
    MutexLock lock(&mu_);
    engine_ = engine;
  }
  void OnRunDeleted(const std::string& run) override {
    MutexLock lock(&mu_);
    if (engine_ != nullptr) engine_->UnloadRun(run);
  }

 private:
  Mutex mu_;
  InferenceEngine* engine_ VIT_GUARDED_BY(mu_) = nullptr;
};

}  // namespace vit

#endif  // VIT_SERVER_MODEL_UNLOADER_H_
