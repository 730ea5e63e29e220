// Models on disk that may be loaded, and where they come from.
#ifndef VIT_CORE_MODELS_SERVABLE_MODEL_H_
#define VIT_CORE_MODELS_SERVABLE_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proto/model_ref.h"

namespace vit {

// A run's checkpoint or a version of the repository.
struct ServableModel {
  ModelRef ref;  // exactly this one: run:ID@STEP or NAME@VERSION
  // The name under which its versions replace each other: "run:ID", or the model's name; the same
  // with "@NUMBER" if the request asked for that one.
  std::string name;
  std::string run;                  // the id of the run that trained it; empty for an imported one
  int64_t step = 0;                 // that run's
  std::filesystem::path directory;  // a model directory (core/weights/model_directory.h)
  std::shared_ptr<void> lease;      // the files stay while this is held

  // A run's step, else the repository's version.
  int64_t version() const { return ref.number; }
};

// Finds models. Thread-safe.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // Returns what `ref` means now. NOT_FOUND if there is no such run or model, UNAVAILABLE while a
  // run has no checkpoint. Cheap: called for every request.
  virtual absl::StatusOr<ServableModel> Find(const ModelRef& ref) = 0;
};

// The models of runs and those of the repository as one source.
class ModelCatalog : public ModelSource {
 public:
  // Both must outlive this; `repository` may be null.
  ModelCatalog(ModelSource* runs, ModelSource* repository) : runs_(runs), repository_(repository) {}

  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override {
    if (ref.is_run()) return runs_->Find(ref);
    if (repository_ == nullptr) return absl::NotFoundError("there is no model repository");
    return repository_->Find(ref);
  }

 private:
  ModelSource* const runs_;
  ModelSource* const repository_;
};

}  // namespace vit

#endif  // VIT_CORE_MODELS_SERVABLE_MODEL_H_
