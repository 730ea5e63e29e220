#include "server/services/model_service.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/models/export_model.h"
#include "server/net/grpc_status.h"
#include "server/services/export_stream.h"
#include "server/services/pool_answer.h"

namespace vit {

namespace {

// What the run tells of its checkpoint at `step`.
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

void ModelService::Serve(Backend backend) {
  backend_ = std::move(backend);
  serving_ = true;
}

absl::Status ModelService::Refusal(bool changes) const {
  if (!serving_) return absl::UnavailableError("vitd is starting; try again in a moment");
  if (draining_ && changes)
    return absl::UnavailableError("vitd is shutting down; it changes nothing any more");
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ModelService::Answer(Context* context, bool changes,
                                               std::function<absl::Status()> call) {
  const absl::Status refused = Refusal(changes);
  if (refused.ok()) return AnswerOnPool(pool_, calls_, context, std::move(call));
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(refused));
  return reactor;
}

absl::Status ModelService::List(const vit::v1::ListModelsRequest& request,
                                vit::v1::ListModelsResponse* response) {
  VIT_ASSIGN_OR_RETURN(const std::vector<ModelRepository::StoredModel> models,
                       backend_.models->List(request.model()));
  const std::map<std::string, int64_t> loaded = backend_.engine->Loaded();
  const auto is_loaded = [&](const std::string& key, int64_t version) {
    const auto found = loaded.find(key);
    return found != loaded.end() && found->second == version;
  };
  for (const ModelRepository::StoredModel& stored : models) {
    vit::v1::ModelVersion* about = response->add_models();
    *about = stored.about;
    if (request.model().empty()) about->clear_labels();
    about->set_loaded(
        is_loaded(about->name(), about->version()) ||
        is_loaded(absl::StrCat(about->name(), "@", about->version()), about->version()));
  }
  return absl::OkStatus();
}

absl::Status ModelService::Publish(const vit::v1::PublishRunRequest& request,
                                   vit::v1::PublishRunResponse* response) {
  VIT_ASSIGN_OR_RETURN(const vit::v1::StatusResponse status,
                       backend_.runs->GetStatus(request.run()));
  absl::StatusOr<CheckpointLease> lease = backend_.runs->FindServable(status.run().id());
  if (absl::IsUnavailable(lease.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", status.run().id(), " has no checkpoint yet; publish it later"));
  }
  if (!lease.ok()) return lease.status();
  vit::v1::ModelVersion about = AboutCheckpoint(status, lease->step);
  VIT_ASSIGN_OR_RETURN(*response->mutable_model(),
                       backend_.models->AddCheckpoint(request.name(), lease->directory, lease->run,
                                                      lease->step, std::move(about)));
  return absl::OkStatus();
}

absl::StatusOr<vit::v1::ModelVersion> ModelService::About(const ServableModel& model) const {
  if (model.in_repository) {
    VIT_ASSIGN_OR_RETURN(ModelRepository::StoredModel stored, backend_.models->Find(model.name));
    return std::move(stored.about);
  }
  VIT_ASSIGN_OR_RETURN(const vit::v1::StatusResponse status, backend_.runs->GetStatus(model.run));
  vit::v1::ModelVersion about = AboutCheckpoint(status, model.step);
  about.set_name(model.name);
  about.set_origin(absl::StrCat(model.name, "@", model.step));
  return about;
}

absl::Status ModelService::Export(const vit::v1::ExportModelRequest& request,
                                  const std::filesystem::path& directory,
                                  vit::v1::ModelIdentity* identity) {
  VIT_ASSIGN_OR_RETURN(const ServableModel model, backend_.source->FindModel(request.model()));
  VIT_ASSIGN_OR_RETURN(const vit::v1::ModelVersion about, About(model));
  identity->set_model(model.name);
  identity->set_run(model.run);
  identity->set_step(model.step);
  identity->set_version(about.version());
  return vit::ExportModel(model, about, request.format(), directory);
}

absl::Status ModelService::Remove(const vit::v1::RemoveModelRequest& request,
                                  vit::v1::RemoveModelResponse* response) {
  VIT_ASSIGN_OR_RETURN(const std::vector<ModelRepository::StoredModel> models,
                       backend_.models->List(request.model()));
  VIT_ASSIGN_OR_RETURN(const int versions, backend_.models->Remove(request.model()));
  response->set_versions(versions);
  for (const ModelRepository::StoredModel& stored : models) {
    backend_.engine->Unload(absl::StrCat(stored.about.name(), "@", stored.about.version()));
    // The next request for the name alone reads what is the newest then.
    backend_.engine->Unload(stored.about.name());
  }
  return absl::OkStatus();
}

absl::Status ModelService::Unload(const vit::v1::UnloadModelRequest& request) {
  VIT_ASSIGN_OR_RETURN(const ServableModel model, backend_.source->FindModel(request.model()));
  if (!backend_.engine->Loaded().contains(model.name)) {
    return absl::FailedPreconditionError(absl::StrCat(model.name, " is not in memory"));
  }
  backend_.engine->Unload(model.name);
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
                         ResolveNamedUnderRoots(request->path(), backend_.data_roots));
    VIT_ASSIGN_OR_RETURN(*response, backend_.models->Import(*request, path, backend_.data_roots));
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<vit::v1::ExportModelResponse>* ModelService::ExportModel(
    Context* /*context*/, const vit::v1::ExportModelRequest* request) {
  if (const absl::Status refused = Refusal(/*changes=*/true); !refused.ok())
    return new ExportStream(refused);
  auto* stream = new ExportStream(backend_.export_dir / absl::StrCat(++exports_), calls_);
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
                [=, this] { return backend_.engine->Preload(request->model()); });
}

grpc::ServerUnaryReactor* ModelService::UnloadModel(Context* context,
                                                    const vit::v1::UnloadModelRequest* request,
                                                    vit::v1::UnloadModelResponse* /*response*/) {
  return Answer(context, /*changes=*/true, [=, this] { return Unload(*request); });
}

}  // namespace vit
