#include "core/models/model_repository.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/checksums.h"
#include "core/base/compute/tensor_cache.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/model_config.h"
#include "core/weights/import_model.h"
#include "core/weights/model_directory.h"
#include "core/weights/write_model.h"
#include "proto/message_json.h"
#include "proto/spec_text.h"
#include "proto/time.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::vit::v1::ModelVersion;

constexpr size_t kMaxNameLength = 64;
constexpr int64_t kMaxFileBytes = 1 << 20;
constexpr char kVersionFile[] = "version.json";
// The highest number that a name ever had, so that none is used again.
constexpr char kLastVersionFile[] = "last_version";

const std::vector<std::string> kModelFiles = {"config.json", "labels.txt", "model.safetensors"};

absl::Status CheckName(absl::string_view name) {
  const bool well_formed = !name.empty() && name.size() <= kMaxNameLength &&
                           absl::ascii_isalnum(name.front()) &&
                           std::all_of(name.begin(), name.end(), [](char c) {
                             return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                           });
  if (!well_formed) {
    return absl::InvalidArgumentError(
        absl::StrCat("model name '", name, "': expected 1 to ", kMaxNameLength,
                     " letters, digits, '.', '_' and '-', the first a letter or digit"));
  }
  if (name == "latest" || name == "run")
    return absl::InvalidArgumentError(absl::StrCat("model name '", name, "' has another meaning"));
  return absl::OkStatus();
}

absl::StatusOr<ModelVersion> ReadVersionFile(const fs::path& path) {
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  ModelVersion about;
  const absl::Status status = MessageFromJson(text, &about);
  if (!status.ok()) return absl::DataLossError(absl::StrCat(path.string(), ": ", status.message()));
  return about;
}

// What version.json keeps; the rest is read from the model directory.
ModelVersion Kept(const ModelVersion& about) {
  ModelVersion kept = about;
  kept.clear_model();
  kept.clear_preprocessing();
  kept.clear_labels();
  kept.clear_parameter_count();
  kept.clear_size_bytes();
  kept.clear_loaded();
  return kept;
}

// "run:ID@STEP" of an origin; nothing for another.
void ReadOrigin(ModelRepository::StoredModel* stored) {
  absl::string_view origin = stored->about.origin();
  if (!absl::ConsumePrefix(&origin, "run:")) return;
  const size_t at = origin.find('@');
  if (at == absl::string_view::npos || !absl::SimpleAtoi(origin.substr(at + 1), &stored->step))
    return;
  stored->run = std::string(origin.substr(0, at));
}

// Completes `stored.about` from the model directory.
absl::Status Describe(ModelRepository::StoredModel* stored) {
  VIT_ASSIGN_OR_RETURN(const ModelDescription description, ReadModelDescription(stored->directory));
  ModelVersion& about = stored->about;
  *about.mutable_model() = description.model;
  *about.mutable_preprocessing() = description.preprocessing;
  about.mutable_labels()->Assign(description.labels.begin(), description.labels.end());
  about.set_parameter_count(ParameterCount(description.model));
  int64_t bytes = 0;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(stored->directory, code)) {
    if (entry.is_regular_file(code)) bytes += static_cast<int64_t>(entry.file_size(code));
  }
  about.set_size_bytes(bytes);
  return absl::OkStatus();
}

absl::StatusOr<ModelRepository::StoredModel> ReadStored(const std::string& name, int64_t version,
                                                        const fs::path& directory) {
  ModelRepository::StoredModel stored;
  stored.directory = directory;
  VIT_ASSIGN_OR_RETURN(stored.about, ReadVersionFile(directory / kVersionFile));
  stored.about.set_name(name);
  stored.about.set_version(version);
  ReadOrigin(&stored);
  VIT_RETURN_IF_ERROR(Describe(&stored));
  return stored;
}

int64_t LastVersion(const fs::path& model_directory) {
  const absl::StatusOr<std::string> text =
      ReadFile(model_directory / kLastVersionFile, kMaxFileBytes);
  int64_t last = 0;
  if (text.ok()) (void)absl::SimpleAtoi(*text, &last);
  return last;
}

}  // namespace

absl::StatusOr<ModelReference> ModelReference::Parse(absl::string_view text) {
  ModelReference reference;
  const size_t at = text.find('@');
  reference.name = std::string(text.substr(0, at));
  VIT_RETURN_IF_ERROR(CheckName(reference.name));
  if (at == absl::string_view::npos) return reference;
  if (!absl::SimpleAtoi(text.substr(at + 1), &reference.version) || reference.version < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("model '", text, "': '", text.substr(at + 1), "' is no version number"));
  }
  return reference;
}

absl::StatusOr<std::unique_ptr<ModelRepository>> ModelRepository::Open(
    const fs::path& directory, Clock* clock, std::vector<std::string>* damaged) {
  VIT_RETURN_IF_ERROR(CreateDirectories(directory));
  std::unique_ptr<ModelRepository> repository(new ModelRepository(directory, clock));
  VIT_RETURN_IF_ERROR(repository->Read(damaged));
  return repository;
}

absl::Status ModelRepository::Read(std::vector<std::string>* damaged) {
  std::error_code code;
  std::vector<fs::path> unfinished;
  MutexLock lock(&mu_);
  for (const auto& model : fs::directory_iterator(directory_, code)) {
    const std::string name = model.path().filename().string();
    if (!model.is_directory() || !CheckName(name).ok()) continue;
    for (const auto& entry : fs::directory_iterator(model.path(), code)) {
      const fs::path extension = entry.path().extension();
      if (extension == ".tmp" || extension == ".removed") unfinished.push_back(entry.path());
      int64_t version;
      if (!absl::SimpleAtoi(entry.path().filename().string(), &version) || version < 1) continue;
      absl::StatusOr<StoredModel> stored = ReadStored(name, version, entry.path());
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
    StoredModel stored, const std::function<absl::Status(const fs::path&)>& fill) {
  const std::string name = stored.about.name();
  VIT_RETURN_IF_ERROR(CheckName(name));
  MutexLock change(&change_);
  const fs::path model_directory = directory_ / name;
  VIT_RETURN_IF_ERROR(CreateDirectories(model_directory));
  int64_t last = LastVersion(model_directory);
  {
    MutexLock lock(&mu_);
    const auto known = models_.find(name);
    if (known != models_.end() && !known->second.empty())
      last = std::max(last, known->second.rbegin()->first);
  }
  stored.about.set_version(last + 1);
  *stored.about.mutable_create_time() = ToProto(clock_->Now());
  stored.directory = model_directory / absl::StrCat(last + 1);
  VIT_RETURN_IF_ERROR(
      WriteFileAtomically(model_directory / kLastVersionFile, absl::StrCat(last + 1, "\n")));
  VIT_RETURN_IF_ERROR(
      WriteDirectoryAtomically(stored.directory, [&](const fs::path& directory) -> absl::Status {
        VIT_RETURN_IF_ERROR(fill(directory));
        VIT_RETURN_IF_ERROR(WriteFile(directory / kVersionFile,
                                      MessageToJson(Kept(stored.about), /*indented=*/true)));
        return WriteChecksums(directory, kModelFiles);
      }));
  VIT_RETURN_IF_ERROR(Describe(&stored));
  MutexLock lock(&mu_);
  return (models_[name][last + 1] = std::move(stored)).about;
}

absl::StatusOr<ModelVersion> ModelRepository::AddCheckpoint(const std::string& name,
                                                            const fs::path& checkpoint,
                                                            const std::string& run, int64_t step,
                                                            ModelVersion about) {
  StoredModel stored{.about = std::move(about), .run = run, .step = step, .directory = {}};
  stored.about.set_name(name);
  stored.about.set_origin(absl::StrCat("run:", run, "@", step));
  return Add(std::move(stored), [&](const fs::path& directory) -> absl::Status {
    VIT_RETURN_IF_ERROR(VerifyChecksums(checkpoint, kModelFiles));
    for (const std::string& file : kModelFiles) {
      VIT_RETURN_IF_ERROR(LinkOrCopy(checkpoint / file, directory / file));
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<vit::v1::ImportModelResponse> ModelRepository::Import(
    const vit::v1::ImportModelRequest& request, const fs::path& path,
    absl::Span<const std::string> data_roots) {
  VIT_RETURN_IF_ERROR(CheckName(request.name()));
  VIT_ASSIGN_OR_RETURN(
      ImportedModel imported,
      ImportModel(path, {.model = request.model(),
                         .preprocessing = request.preprocessing(),
                         .labels = {request.labels().begin(), request.labels().end()},
                         .choice = {.prefix = request.prefix(), .weights = request.weights()},
                         .data_roots = {data_roots.begin(), data_roots.end()}}));
  StoredModel stored;
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
  // The process keeps what it frees for training's next step (PrepareComputeProcess); an import's
  // memory would only come on top of that of the model that is loaded next.
  TensorCache::Trim();
  return response;
}

absl::Status ModelRepository::NoModel(const ModelReference& reference) const {
  const auto model = models_.find(reference.name);
  if (model != models_.end() && !model->second.empty()) {
    return absl::NotFoundError(absl::StrCat("model ", reference.name, " has no version ",
                                            reference.version, "; its newest is ",
                                            model->second.rbegin()->first));
  }
  std::vector<std::string> names;
  for (const auto& [name, versions] : models_) {
    if (!versions.empty()) names.push_back(name);
  }
  const std::string nearest = NearestName(reference.name, names);
  return absl::NotFoundError(absl::StrCat("no model '", reference.name, "'",
                                          nearest.empty()
                                              ? "; runs are named run:ID"
                                              : absl::StrCat("; did you mean '", nearest, "'?")));
}

absl::StatusOr<std::vector<ModelRepository::StoredModel>> ModelRepository::List(
    const std::string& reference) const {
  std::optional<ModelReference> wanted;
  if (!reference.empty()) {
    VIT_ASSIGN_OR_RETURN(wanted, ModelReference::Parse(reference));
  }
  std::vector<StoredModel> models;
  MutexLock lock(&mu_);
  for (const auto& [name, versions] : models_) {
    if (wanted && wanted->name != name) continue;
    for (auto it = versions.rbegin(); it != versions.rend(); ++it) {
      if (!wanted || wanted->version == 0 || wanted->version == it->first)
        models.push_back(it->second);
    }
  }
  if (models.empty() && wanted) return NoModel(*wanted);
  return models;
}

absl::StatusOr<ModelRepository::StoredModel> ModelRepository::Find(
    const std::string& reference) const {
  VIT_ASSIGN_OR_RETURN(const ModelReference wanted, ModelReference::Parse(reference));
  MutexLock lock(&mu_);
  const auto model = models_.find(wanted.name);
  if (model == models_.end() || model->second.empty()) return NoModel(wanted);
  if (wanted.version == 0) return model->second.rbegin()->second;
  const auto version = model->second.find(wanted.version);
  if (version == model->second.end()) return NoModel(wanted);
  return version->second;
}

absl::StatusOr<int> ModelRepository::Remove(const std::string& reference) {
  if (reference.empty())
    return absl::InvalidArgumentError("name the model to remove: NAME or NAME@VERSION");
  MutexLock change(&change_);
  VIT_ASSIGN_OR_RETURN(const std::vector<StoredModel> models, List(reference));
  for (const StoredModel& stored : models) {
    {
      MutexLock lock(&mu_);
      models_[stored.about.name()].erase(stored.about.version());
    }
    VIT_RETURN_IF_ERROR(RemoveTree(stored.directory));
  }
  return static_cast<int>(models.size());
}

}  // namespace vit
