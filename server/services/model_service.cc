#include "server/services/model_service.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/models/export_model.h"
#include "server/services/export_stream.h"
#include "server/services/pool_answer.h"

namespace vit {

namespace {

// Returns what the run reports about its checkpoint at `step`.
vit::v1::ModelVersion AboutCheckpoint(const vit::v1::StatusResponse& status, int64_t step) {
  vit::v1::ModelVersion about;
  about.set_source(status.run().preset());
  for (const vit::v1::CheckpointInfo& checkpoint : status.checkpoints()) {
    if (checkpoint.step() != step) continue;
    if (checkpoint.has_accuracy()) about.set_accuracy(checkpoint.accuracy());
    if (checkpoint.has_loss()) about.set_loss(checkpoint.loss());
  }
  return about;
}

}  // namespace

grpc::ServerUnaryReactor* ModelService::Answer(Context* context, bool changes,
                                               std::function<absl::Status()> call) {
  return AnswerOnPool(pool_, calls_, context, gate_.Check(changes), std::move(call));
}

absl::Status ModelService::List(const vit::v1::ListModelsRequest& request,
                                vit::v1::ListModelsResponse* response) {
  VIT_ASSIGN_OR_RETURN(std::vector<vit::v1::ModelVersion> models,
                       backend().models->List(request.model()));
  const std::map<std::string, int64_t> loaded = backend().engine->Loaded();
  const auto is_loaded = [&](const ModelRef& ref, int64_t version) {
    const auto found = loaded.find(ref.ToString());
    return found != loaded.end() && found->second == version;
  };
  for (vit::v1::ModelVersion& about : models) {
    const int64_t version = about.version();
    about.set_loaded(is_loaded(ModelRef::Model(about.name()), version) ||
                     is_loaded(ModelRef::Model(about.name(), version), version));
    if (request.model().empty()) about.clear_labels();
    *response->add_models() = std::move(about);
  }
  return absl::OkStatus();
}

absl::Status ModelService::Publish(const vit::v1::PublishRunRequest& request,
                                   vit::v1::PublishRunResponse* response) {
  VIT_ASSIGN_OR_RETURN(const vit::v1::StatusResponse status,
                       backend().runs->GetStatus(request.run()));
  const absl::StatusOr<ServableModel> model =
      backend().runs->Find(ModelRef::Run(status.run().id()));
  if (absl::IsUnavailable(model.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", status.run().id(), " has no checkpoint yet; publish it later"));
  }
  if (!model.ok()) return model.status();
  VIT_ASSIGN_OR_RETURN(*response->mutable_model(),
                       backend().models->AddCheckpoint(request.name(), *model, request.precision(),
                                                       AboutCheckpoint(status, model->step)));
  return absl::OkStatus();
}

absl::StatusOr<vit::v1::ModelVersion> ModelService::About(const ServableModel& model) const {
  if (!model.ref.is_run()) {
    VIT_ASSIGN_OR_RETURN(std::vector<vit::v1::ModelVersion> versions,
                         backend().models->List(model.ref.ToString()));
    return std::move(versions.front());
  }
  VIT_ASSIGN_OR_RETURN(const vit::v1::StatusResponse status, backend().runs->GetStatus(model.run));
  vit::v1::ModelVersion about = AboutCheckpoint(status, model.step);
  about.set_name(model.name);
  about.set_origin(model.ref.ToString());
  return about;
}

absl::Status ModelService::Export(const vit::v1::ExportModelRequest& request,
                                  const std::filesystem::path& directory,
                                  vit::v1::ModelIdentity* identity) {
  VIT_ASSIGN_OR_RETURN(const ServableModel model, FindModel(request.model()));
  VIT_ASSIGN_OR_RETURN(const vit::v1::ModelVersion about, About(model));
  identity->set_model(model.name);
  identity->set_run(model.run);
  identity->set_step(model.step);
  identity->set_version(about.version());
  return vit::ExportModel(model, about, request.format(), directory);
}

absl::Status ModelService::Remove(const vit::v1::RemoveModelRequest& request,
                                  vit::v1::RemoveModelResponse* response) {
  VIT_ASSIGN_OR_RETURN(const std::vector<vit::v1::ModelVersion> versions,
                       backend().models->List(request.model()));
  const auto removed = backend().models->Remove(request.model());
  // Also after an error: some may be gone, and the others are read again when they are requested.
  for (const vit::v1::ModelVersion& about : versions) {
    backend().engine->Unload(ModelRef::Model(about.name(), about.version()).ToString());
    backend().engine->Unload(about.name());
  }
  if (!removed.ok()) return removed.status();
  response->set_versions(static_cast<int>(removed->size()));
  return absl::OkStatus();
}

absl::StatusOr<ServableModel> ModelService::FindModel(const std::string& text) const {
  VIT_ASSIGN_OR_RETURN(const ModelRef ref, ModelRef::Parse(text));
  return backend().source->Find(ref);
}

absl::Status ModelService::Unload(const vit::v1::UnloadModelRequest& request) {
  VIT_ASSIGN_OR_RETURN(const ServableModel model, FindModel(request.model()));
  if (!backend().engine->Loaded().contains(model.name)) {
    return absl::FailedPreconditionError(absl::StrCat(model.name, " is not in memory"));
  }
  backend().engine->Unload(model.name);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ModelService::ListModels(Context* context,
                                                   const vit::v1::ListModelsRequest* request,
                                                   vit::v1::ListModelsResponse* response) {
  return Answer(context, /*changes=*/false, [=, this] { return List(*request, response); });
}

grpc::ServerUnaryReactor* ModelService::PublishRun(Context* context,
                                                   const vit::v1::PublishRunRequest* request,
                                                   vit::v1::PublishRunResponse* response) {
  return Answer(context, /*changes=*/true, [=, this] { return Publish(*request, response); });
}

grpc::ServerUnaryReactor* ModelService::ImportModel(Context* context,
                                                    const vit::v1::ImportModelRequest* request,
                                                    vit::v1::ImportModelResponse* response) {
  return Answer(context, /*changes=*/true, [=, this]() -> absl::Status {
    VIT_ASSIGN_OR_RETURN(const std::filesystem::path path,
                         ResolveNamedUnderRoots(request->path(), backend().data_roots));
    VIT_ASSIGN_OR_RETURN(*response, backend().models->Import(*request, path, backend().data_roots));
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<vit::v1::ExportModelResponse>* ModelService::ExportModel(
    Context* /*context*/, const vit::v1::ExportModelRequest* request) {
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    return new ExportStream(refused);
  }
  auto* stream = new ExportStream(backend().export_dir / absl::StrCat(++exports_), calls_);
  stream->Start(pool_, [this, request = *request](const std::filesystem::path& directory,
                                                  vit::v1::ModelIdentity* identity) {
    return Export(request, directory, identity);
  });
  return stream;
}

grpc::ServerUnaryReactor* ModelService::RemoveModel(Context* context,
                                                    const vit::v1::RemoveModelRequest* request,
                                                    vit::v1::RemoveModelResponse* response) {
  return Answer(context, /*changes=*/true, [=, this] { return Remove(*request, response); });
}

grpc::ServerUnaryReactor* ModelService::LoadModel(Context* context,
                                                  const vit::v1::LoadModelRequest* request,
                                                  vit::v1::LoadModelResponse* /*response*/) {
  return Answer(context, /*changes=*/true,
                [=, this] { return backend().engine->Preload(request->model()); });
}

grpc::ServerUnaryReactor* ModelService::UnloadModel(Context* context,
                                                    const vit::v1::UnloadModelRequest* request,
                                                    vit::v1::UnloadModelResponse* /*response*/) {
  return Answer(context, /*changes=*/true, [=, this] { return Unload(*request); });
}

}  // namespace vit
