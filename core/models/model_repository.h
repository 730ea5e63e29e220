// Models with names and numbered versions, on disk: <directory>/<name>/<version>/ is a model
// directory (core/weights/model_directory.h) with version.json and SHA256SUMS, and appears whole or
// not at all. The folders are the only record of a model.
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
#include "core/base/compute/device.h"
#include "core/base/mutex.h"
#include "core/models/servable_model.h"
#include "core/weights/model_directory.h"
#include "vit/v1/repository.pb.h"

namespace vit {

// Thread-safe. Reading never waits for a model that is being added.
class ModelRepository : public ModelSource {
 public:
  // Creates `directory` if it is missing, removes what a crash left unfinished, reads the rest.
  // Folders that cannot be read are left alone and named in `damaged`.
  static absl::StatusOr<std::unique_ptr<ModelRepository>> Open(
      const std::filesystem::path& directory, const Device& device, Clock* clock,
      std::vector<std::string>* damaged);

  // Adds `checkpoint`, a run's, as the next version of `name`; its checksums must match. The
  // weights file is linked, not copied, if the file system can. FAILED_PRECONDITION if the device
  // cannot multiply in the precision.
  absl::StatusOr<vit::v1::ModelVersion> AddCheckpoint(const std::string& name,
                                                      const ServableModel& checkpoint,
                                                      vit::v1::PrecisionChoice precision,
                                                      vit::v1::ModelVersion about);

  // Imports the model at `path` (the request's, resolved), with weights as float32. `data_roots` as
  // ImportOptions'. Statuses as ImportModel's, and AddCheckpoint's for the precision.
  absl::StatusOr<vit::v1::ImportModelResponse> Import(
      const vit::v1::ImportModelRequest& request, const std::filesystem::path& path,
      absl::Span<const std::string> data_roots = {});

  // All versions that `text` refers to ("" for all models), by name, newest first; with labels,
  // without `loaded`. NOT_FOUND names the nearest model.
  absl::StatusOr<std::vector<vit::v1::ModelVersion>> List(const std::string& text) const;

  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override;

  // Removes what List would return, and returns it. Files that a lease holds are removed with the
  // lease.
  absl::StatusOr<std::vector<vit::v1::ModelVersion>> Remove(const std::string& text);

 private:
  // The files of a version.
  class Files;
  struct Stored {
    vit::v1::ModelVersion about;
    std::string run;
    int64_t step = 0;
    std::shared_ptr<Files> files;
  };
  using Versions = std::map<int64_t, Stored>;

  ModelRepository(std::filesystem::path directory, const Device& device, Clock* clock)
      : directory_(std::move(directory)), device_(device), clock_(clock) {}

  static absl::StatusOr<Stored> ReadStored(const std::string& name, int64_t version,
                                           const std::filesystem::path& directory);
  absl::Status Read(std::vector<std::string>* damaged);
  // `fill` writes the model directory and version.json's part of `stored`.
  absl::StatusOr<vit::v1::ModelVersion> Add(
      Stored stored, const std::function<absl::Status(const std::filesystem::path&)>& fill);
  // Sets the precision that `choice` means for that model on the device.
  absl::Status SetPrecision(vit::v1::PrecisionChoice choice, ModelDescription* description) const;
  absl::Status NoModel(const ModelRef& ref) const VIT_REQUIRES(mu_);

  const std::filesystem::path directory_;
  const Device device_;
  Clock* const clock_;
  Mutex change_;  // held while a model is added or removed; before mu_
  mutable Mutex mu_;
  std::map<std::string, Versions> models_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_CORE_MODELS_MODEL_REPOSITORY_H_
