// What the name of a model means: a run's checkpoint, or a version of the repository.
#ifndef VIT_SERVER_MODEL_CATALOG_H_
#define VIT_SERVER_MODEL_CATALOG_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/infer/inference_engine.h"
#include "core/models/model_repository.h"
#include "core/runs/run_manager.h"

namespace vit {

// Thread-safe.
class ModelCatalog : public ModelSource {
 public:
  // Both must outlive this.
  ModelCatalog(RunManager* runs, ModelRepository* models) : runs_(runs), models_(models) {}

  absl::StatusOr<ServableModel> FindModel(const std::string& model) override;

 private:
  absl::StatusOr<ServableModel> FindRun(const std::string& run);

  RunManager* const runs_;
  ModelRepository* const models_;
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
    if (engine_ != nullptr) engine_->Unload(absl::StrCat("run:", run));
  }

 private:
  Mutex mu_;
  InferenceEngine* engine_ VIT_GUARDED_BY(mu_) = nullptr;
};

}  // namespace vit

#endif  // VIT_SERVER_MODEL_CATALOG_H_
