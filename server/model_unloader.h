// Lets the engine forget the models of deleted runs.
#ifndef VIT_SERVER_MODEL_UNLOADER_H_
#define VIT_SERVER_MODEL_UNLOADER_H_

#include <string>

#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "core/runs/run_listener.h"
#include "proto/model_ref.h"

namespace vit {

// Thread-safe.
class ModelUnloader : public RunListener {
 public:
  // Null from before the engine goes.
  void SetEngine(InferenceEngine* engine) {
    MutexLock lock(&mu_);
    engine_ = engine;
  }
  void OnRunDeleted(const std::string& run) override {
    MutexLock lock(&mu_);
    if (engine_ != nullptr) engine_->Unload(ModelRef::Run(run).ToString());
  }

 private:
  Mutex mu_;
  InferenceEngine* engine_ VIT_GUARDED_BY(mu_) = nullptr;
};

}  // namespace vit

#endif  // VIT_SERVER_MODEL_UNLOADER_H_
