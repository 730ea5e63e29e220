// The checkpoints of runs, as inference asks for them.
#ifndef VIT_SERVER_RUN_CHECKPOINTS_H_
#define VIT_SERVER_RUN_CHECKPOINTS_H_

#include <string>

#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "core/runs/run_manager.h"

namespace vit {

// Thread-safe.
class RunCheckpoints : public CheckpointSource {
 public:
  // `runs` must outlive this.
  explicit RunCheckpoints(RunManager* runs) : runs_(runs) {}

  absl::StatusOr<ServableCheckpoint> FindCheckpoint(const std::string& model) override;

 private:
  RunManager* const runs_;
};

// Lets the engine forget the models of deleted runs. Thread-safe.
class ModelUnloader : public RunListener {
 public:
  // Null from before the engine goes.
  void SetEngine(InferenceEngine* engine) {
    MutexLock lock(&mu_);
    engine_ = engine;
  }
  void OnRunDeleted(const std::string& run) override {
    MutexLock lock(&mu_);
    if (engine_ != nullptr) engine_->Unload(run);
  }

 private:
  Mutex mu_;
  InferenceEngine* engine_ VIT_GUARDED_BY(mu_) = nullptr;
};

}  // namespace vit

#endif  // VIT_SERVER_RUN_CHECKPOINTS_H_
