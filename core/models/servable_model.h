// What a model's name means: a model on disk that may be loaded.
#ifndef VIT_CORE_MODELS_SERVABLE_MODEL_H_
#define VIT_CORE_MODELS_SERVABLE_MODEL_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace vit {

// A model on disk that may be loaded: a run's checkpoint or a version of the repository.
struct ServableModel {
  // As a request names it: "run:<id>", "<name>" for a model's newest version, "<name>@<version>".
  // Versions of one name replace each other.
  std::string name;
  int64_t version = 0;  // a run's step, else the repository's version
  std::string run;      // the id of the run that trained it; empty for an imported one
  int64_t step = 0;     // that run's
  bool in_repository = false;
  std::filesystem::path directory;  // a model directory (core/weights/model_directory.h)
  // The model's files stay while this is held.
  std::shared_ptr<void> lease;
};

// Says what a model's name means at this moment. Thread-safe.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // `model`: "run:<id>", "latest" or "" (latest), "<name>" or "<name>@<version>". NOT_FOUND for no
  // such run or model, UNAVAILABLE while a run has no checkpoint, INVALID_ARGUMENT for another
  // form. Cheap: called for every request.
  virtual absl::StatusOr<ServableModel> FindModel(const std::string& model) = 0;
};

}  // namespace vit

#endif  // VIT_CORE_MODELS_SERVABLE_MODEL_H_
