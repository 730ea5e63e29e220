// Models with names and numbered versions, on disk: <directory>/<name>/<version>/ is a model
// directory (core/weights/model_directory.h) with version.json and SHA256SUMS, and appears whole or
// not at all. The folders are the truth; nothing else knows of a model.
#ifndef VIT_CORE_MODELS_MODEL_REPOSITORY_H_
#define VIT_CORE_MODELS_MODEL_REPOSITORY_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "vit/v1/repository.pb.h"

namespace vit {

// "pets" or "pets@3".
struct ModelReference {
  std::string name;
  int64_t version = 0;  // 0: the newest

  // INVALID_ARGUMENT for what is no such text.
  static absl::StatusOr<ModelReference> Parse(absl::string_view text);
};

// Thread-safe. Reading never waits for a model that is being added.
class ModelRepository {
 public:
  struct StoredModel {
    vit::v1::ModelVersion about;  // with labels; `loaded` is not set
    std::string run;              // the id of the run that trained it; empty for an imported one
    int64_t step = 0;
    std::filesystem::path directory;
  };

  // Makes `directory` where it is missing, removes what a crash left unfinished, reads the rest.
  // Folders that cannot be understood are left alone and named in `damaged`.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(
      const std::filesystem::path& directory, Clock* clock, std::vector<std::string>* damaged);

  // Adds the model of a run's checkpoint as the next version of `name`; its checksums must hold.
  // The weights' file is linked, not copied, where the file system can.
  absl::StatusOr<vit::v1::ModelVersion> AddCheckpoint(const std::string& name,
                                                      const std::filesystem::path& checkpoint,
                                                      const std::string& run, int64_t step,
                                                      vit::v1::ModelVersion about);

  // Adds what `path` (that of the request, resolved) holds, its weights as float32. `data_roots` as
  // ImportOptions'. Statuses as ImportModel's.
  absl::StatusOr<vit::v1::ImportModelResponse> Import(
      const vit::v1::ImportModelRequest& request, const std::filesystem::path& path,
      absl::Span<const std::string> data_roots = {});

  // All versions that `reference` means ("" for all models), by name, newest first. NOT_FOUND,
  // naming the nearest model.
  absl::StatusOr<std::vector<StoredModel>> List(const std::string& reference) const;

  // The one version that `reference` means. Cheap.
  absl::StatusOr<StoredModel> Find(const std::string& reference) const;

  // Removes what List would return; how many versions that were.
  absl::StatusOr<int> Remove(const std::string& reference);

 private:
  using Versions = std::map<int64_t, StoredModel>;

  ModelRepository(std::filesystem::path directory, Clock* clock)
      : directory_(std::move(directory)), clock_(clock) {}

  absl::Status Read(std::vector<std::string>* damaged);
  // `fill` writes the model directory and version.json's part of `stored`.
  absl::StatusOr<vit::v1::ModelVersion> Add(
      StoredModel stored, const std::function<absl::Status(const std::filesystem::path&)>& fill);
  absl::Status NoModel(const ModelReference& reference) const VIT_REQUIRES(mu_);

  const std::filesystem::path directory_;
  Clock* const clock_;
  Mutex change_;  // held while a model is added or removed; before mu_
  mutable Mutex mu_;
  std::map<std::string, Versions> models_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_CORE_MODELS_MODEL_REPOSITORY_H_
