#include "core/models/model_repository.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/compute/tensor_cache.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/weights/import_model.h"
#include "core/weights/model_directory.h"
#include "core/weights/write_model.h"
#include "proto/field_names.h"
#include "proto/message_json.h"
#include "proto/time.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::vit::v1::ModelVersion;

constexpr int64_t kMaxFileBytes = 1 << 20;
constexpr char kVersionFile[] = "version.json";
// The highest number that a name ever had, so that no number is reused.
constexpr char kLastVersionFile[] = "last_version";

// Marks a version that was removed while in use: its files are removed when it no longer is, at the
// latest at the next start.
constexpr char kRemovedMark[] = "removed";

absl::StatusOr<ModelVersion> ReadVersionFile(const fs::path& path) {
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  ModelVersion about;
  const absl::Status status = MessageFromJson(text, &about);
  if (!status.ok()) return absl::DataLossError(absl::StrCat(path.string(), ": ", status.message()));
  return about;
}

// Returns what version.json keeps; the rest is read from the model directory.
ModelVersion Kept(const ModelVersion& about) {
  ModelVersion kept = about;
  kept.clear_model();
  kept.clear_preprocessing();
  kept.clear_labels();
  kept.clear_parameter_count();
  kept.clear_size_bytes();
  kept.clear_loaded();
  kept.clear_precision();
  return kept;
}

// Completes `about` from the model directory.
absl::Status Describe(const fs::path& directory, ModelVersion* about) {
  VIT_ASSIGN_OR_RETURN(const ModelDescription description, ReadModelDescription(directory));
  *about->mutable_model() = description.model;
  *about->mutable_preprocessing() = description.preprocessing;
  about->mutable_labels()->Assign(description.labels.begin(), description.labels.end());
  about->set_parameter_count(ParameterCount(description.model));
  about->set_precision(description.precision);
  int64_t bytes = 0;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory, code)) {
    if (entry.is_regular_file(code)) bytes += static_cast<int64_t>(entry.file_size(code));
  }
  about->set_size_bytes(bytes);
  return absl::OkStatus();
}

int64_t LastVersion(const fs::path& model_directory) {
  const absl::StatusOr<std::string> text =
      ReadFile(model_directory / kLastVersionFile, kMaxFileBytes);
  int64_t last = 0;
  if (text.ok()) (void)absl::SimpleAtoi(*text, &last);
  return last;
}

}  // namespace

// The last owner of a removed version's files removes them.
class ModelRepository::Files {
 public:
  explicit Files(fs::path directory) : directory_(std::move(directory)) {}
  ~Files() {
    if (removed_) RemoveTree(directory_).IgnoreError();
  }

  const fs::path& directory() const { return directory_; }
  // From now on the last owner removes the files.
  absl::Status RemoveWhenUnused() {
    removed_ = true;
    return WriteFileAtomically(directory_ / kRemovedMark, "");
  }

 private:
  const fs::path directory_;
  std::atomic<bool> removed_ = false;
};

absl::StatusOr<ModelRepository::Stored> ModelRepository::ReadStored(const std::string& name,
                                                                    int64_t version,
                                                                    const fs::path& directory) {
  Stored stored{.files = std::make_shared<Files>(directory)};
  VIT_ASSIGN_OR_RETURN(stored.about, ReadVersionFile(directory / kVersionFile));
  stored.about.set_name(name);
  stored.about.set_version(version);
  const absl::StatusOr<ModelRef> origin = ModelRef::Parse(stored.about.origin());
  if (origin.ok() && origin->kind == ModelRef::Kind::kRun && origin->number >= 0) {
    stored.run = origin->name;
    stored.step = origin->number;
  }
  VIT_RETURN_IF_ERROR(Describe(directory, &stored.about));
  return stored;
}

absl::StatusOr<std::unique_ptr<ModelRepository>> ModelRepository::Open(
    const fs::path& directory, const Device& device, Clock* clock,
    std::vector<std::string>* damaged) {
  VIT_RETURN_IF_ERROR(CreateDirectories(directory));
  std::unique_ptr<ModelRepository> repository(new ModelRepository(directory, device, clock));
  VIT_RETURN_IF_ERROR(repository->Read(damaged));
  return repository;
}

absl::Status ModelRepository::Read(std::vector<std::string>* damaged) {
  std::error_code code;
  std::vector<fs::path> unfinished;
  MutexLock lock(&mu_);
  for (const auto& model : fs::directory_iterator(directory_, code)) {
    const std::string name = model.path().filename().string();
    if (!model.is_directory() || !CheckModelName(name).ok()) continue;
    for (const auto& entry : fs::directory_iterator(model.path(), code)) {
      const fs::path extension = entry.path().extension();
      if (extension == ".tmp" || extension == ".removed" ||
          fs::exists(entry.path() / kRemovedMark, code)) {
        unfinished.push_back(entry.path());
        continue;
      }
      int64_t version;
      if (!absl::SimpleAtoi(entry.path().filename().string(), &version) || version < 1) continue;
      absl::StatusOr<Stored> stored = ReadStored(name, version, entry.path());
      if (stored.ok()) {
        models_[name][version] = *std::move(stored);
      } else {
        damaged->push_back(
            absl::StrCat("model ", name, "@", version, ": ", stored.status().message()));
      }
    }
  }
  for (const fs::path& path : unfinished) fs::remove_all(path, code);
  return absl::OkStatus();
}

absl::StatusOr<ModelVersion> ModelRepository::Add(
    Stored stored, const std::function<absl::Status(const fs::path&)>& fill) {
  const std::string name = stored.about.name();
  VIT_RETURN_IF_ERROR(CheckModelName(name));
  MutexLock change(&change_);
  const fs::path model_directory = directory_ / name;
  VIT_RETURN_IF_ERROR(CreateDirectories(model_directory));
  int64_t last = LastVersion(model_directory);
  {
    MutexLock lock(&mu_);
    const auto known = models_.find(name);
    if (known != models_.end() && !known->second.empty()) {
      last = std::max(last, known->second.rbegin()->first);
    }
  }
  stored.about.set_version(last + 1);
  *stored.about.mutable_create_time() = ToProto(clock_->Now());
  const fs::path version_directory = model_directory / absl::StrCat(last + 1);
  VIT_RETURN_IF_ERROR(
      WriteFileAtomically(model_directory / kLastVersionFile, absl::StrCat(last + 1, "\n")));
  VIT_RETURN_IF_ERROR(
      WriteDirectoryAtomically(version_directory, [&](const fs::path& directory) -> absl::Status {
        VIT_RETURN_IF_ERROR(fill(directory));
        VIT_RETURN_IF_ERROR(WriteFile(directory / kVersionFile,
                                      MessageToJson(Kept(stored.about), /*indented=*/true)));
        return WriteChecksums(directory, ModelFiles());
      }));
  VIT_RETURN_IF_ERROR(Describe(version_directory, &stored.about));
  stored.files = std::make_shared<Files>(version_directory);
  MutexLock lock(&mu_);
  return (models_[name][last + 1] = std::move(stored)).about;
}

absl::StatusOr<ModelVersion> ModelRepository::AddCheckpoint(const std::string& name,
                                                            const ServableModel& checkpoint,
                                                            vit::v1::PrecisionChoice precision,
                                                            ModelVersion about) {
  Stored stored{.about = std::move(about), .run = checkpoint.run, .step = checkpoint.step};
  stored.about.set_name(name);
  stored.about.set_origin(checkpoint.ref.ToString());
  return Add(std::move(stored), [&](const fs::path& directory) -> absl::Status {
    VIT_RETURN_IF_ERROR(VerifyChecksums(checkpoint.directory, ModelFiles()));
    if (precision == vit::v1::PRECISION_CHOICE_UNSPECIFIED) {
      return LinkFiles(checkpoint.directory, directory, ModelFiles());
    }
    VIT_ASSIGN_OR_RETURN(ModelDescription description, ReadModelDescription(checkpoint.directory));
    VIT_RETURN_IF_ERROR(SetPrecision(precision, &description));
    VIT_RETURN_IF_ERROR(WriteModelDescription(directory, description));
    return LinkFiles(checkpoint.directory, directory, {kWeightsFile});
  });
}

absl::Status ModelRepository::SetPrecision(vit::v1::PrecisionChoice choice,
                                           ModelDescription* description) const {
  switch (choice) {
    case vit::v1::PRECISION_CHOICE_UNSPECIFIED:
      return absl::OkStatus();
    case vit::v1::PRECISION_CHOICE_FLOAT32:
      description->precision = vit::v1::PRECISION_FLOAT32;
      return absl::OkStatus();
    case vit::v1::PRECISION_CHOICE_BFLOAT16:
      if (!device_.has_bfloat16()) {
        return absl::FailedPreconditionError(
            absl::StrCat("precision is bfloat16, which ", device_.model_name(),
                         " does not support; choose float32 or auto"));
      }
      description->precision = vit::v1::PRECISION_BFLOAT16;
      return absl::OkStatus();
    case vit::v1::PRECISION_CHOICE_AUTO:
      description->precision =
          FasterPrecision(device_.least_bfloat16_width(), description->model.embed_dim());
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("precision ", static_cast<int>(choice), " is not supported"));
  }
}

absl::StatusOr<vit::v1::ImportModelResponse> ModelRepository::Import(
    const vit::v1::ImportModelRequest& request, const fs::path& path,
    absl::Span<const std::string> data_roots) {
  VIT_RETURN_IF_ERROR(CheckModelName(request.name()));
  VIT_ASSIGN_OR_RETURN(
      ImportedModel imported,
      ImportModel(path, {.model = request.model(),
                         .preprocessing = request.preprocessing(),
                         .labels = {request.labels().begin(), request.labels().end()},
                         .choice = {.prefix = request.prefix(), .weights = request.weights()},
                         .data_roots = {data_roots.begin(), data_roots.end()}}));
  VIT_RETURN_IF_ERROR(SetPrecision(request.precision(), &imported.description));
  Stored stored;
  stored.about.set_name(request.name());
  stored.about.set_origin(path.string());
  stored.about.set_source(imported.layout);
  stored.about.set_prefix(imported.prefix);
  stored.about.set_weights(imported.choice);
  vit::v1::ImportModelResponse response;
  VIT_ASSIGN_OR_RETURN(*response.mutable_model(),
                       Add(std::move(stored), [&](const fs::path& directory) {
                         return WriteModel(directory, imported.tensors, imported.description);
                       }));
  response.mutable_notes()->Assign(imported.notes.begin(), imported.notes.end());
  imported = {};
  // The process keeps freed memory for training's next step (PrepareComputeProcess); an import's
  // memory would only add to that of the model that is loaded next.
  TensorCache::Trim();
  return response;
}

absl::Status ModelRepository::NoModel(const ModelRef& ref) const {
  const auto model = models_.find(ref.name);
  if (model != models_.end() && !model->second.empty()) {
    return absl::NotFoundError(absl::StrCat("model ", ref.name, " has no version ", ref.number,
                                            "; its newest is ", model->second.rbegin()->first));
  }
  std::vector<std::string> names;
  for (const auto& [name, versions] : models_) {
    if (!versions.empty()) names.push_back(name);
  }
  const std::string nearest = NearestName(ref.name, names);
  return absl::NotFoundError(absl::StrCat("no model '", ref.name, "'",
                                          nearest.empty()
                                              ? "; runs are named run:ID"
                                              : absl::StrCat("; did you mean '", nearest, "'?")));
}

absl::StatusOr<std::vector<ModelVersion>> ModelRepository::List(const std::string& text) const {
  std::optional<ModelRef> wanted;
  if (!text.empty()) {
    VIT_ASSIGN_OR_RETURN(wanted, ModelRef::Parse(text));
    if (wanted->is_run()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", text, "' is not a model of the repository: expected NAME or NAME@VERSION"));
    }
  }
  std::vector<ModelVersion> models;
  MutexLock lock(&mu_);
  for (const auto& [name, versions] : models_) {
    if (wanted && wanted->name != name) continue;
    for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
      if (!wanted || wanted->number == ModelRef::kServed || wanted->number == it->first) {
        models.push_back(it->second.about);
      }
    }
  }
  if (models.empty() && wanted) return NoModel(*wanted);
  return models;
}

absl::StatusOr<ServableModel> ModelRepository::Find(const ModelRef& ref) {
  MutexLock lock(&mu_);
  const auto model = models_.find(ref.name);
  if (model == models_.end() || model->second.empty()) return NoModel(ref);
  const auto version = ref.number == ModelRef::kServed ? std::prev(model->second.end())
                                                       : model->second.find(ref.number);
  if (version == model->second.end()) return NoModel(ref);
  const Stored& stored = version->second;
  return ServableModel{.ref = ModelRef::Model(ref.name, version->first),
                       .name = ref.ToString(),
                       .run = stored.run,
                       .step = stored.step,
                       .directory = stored.files->directory(),
                       .lease = stored.files};
}

absl::StatusOr<std::vector<ModelVersion>> ModelRepository::Remove(const std::string& text) {
  if (text.empty()) {
    return absl::InvalidArgumentError("name the model to remove: NAME or NAME@VERSION");
  }
  MutexLock change(&change_);
  VIT_ASSIGN_OR_RETURN(std::vector<ModelVersion> models, List(text));
  for (const ModelVersion& about : models) {
    std::shared_ptr<Files> files;
    bool in_use;
    {
      MutexLock lock(&mu_);
      files = models_[about.name()].at(about.version()).files;
      in_use = files.use_count() > 2;  // these two
    }
    // Marked first: a version that cannot be marked stays as it is.
    if (in_use) VIT_RETURN_IF_ERROR(files->RemoveWhenUnused());
    {
      MutexLock lock(&mu_);
      models_[about.name()].erase(about.version());
    }
    if (in_use) continue;
    // It may have been leased meanwhile; that is no longer possible.
    VIT_RETURN_IF_ERROR(files.use_count() > 1 ? files->RemoveWhenUnused()
                                              : RemoveTree(files->directory()));
  }
  return models;
}

}  // namespace vit
