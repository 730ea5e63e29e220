#include "server/services/open_inference/open_inference_service.h"

#include <cstdint>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/net/grpc_status.h"
#include "server/services/call_reactor.h"
#include "server/services/open_inference/infer_call.h"
#include "server/services/open_inference/infer_stream.h"
#include "server/services/pool_answer.h"

namespace vit {
namespace {

constexpr char kReady[] = "READY";
constexpr char kUnavailable[] = "UNAVAILABLE";

absl::Status CheckRepositoryName(const std::string& name) {
  if (name.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "repository_name is '", name, "'; vitd has one repository, leave the name empty"));
}

}  // namespace

grpc::ServerUnaryReactor* OpenInferenceService::Answer(Context* context, bool new_work,
                                                       const std::function<absl::Status()>& call) {
  Reactor* reactor = context->DefaultReactor();
  absl::Status status = gate_.Check(new_work);
  if (status.ok()) status = call();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* OpenInferenceService::AnswerLoaded(
    Context* context, const std::string& name, const std::string& version,
    std::function<void(const FrozenModel& model)> fill) {
  Reactor* reactor = context->DefaultReactor();
  absl::Status refused = gate_.Check(/*new_work=*/true);
  const absl::StatusOr<ModelRef> ref = ParseModel(name, version);
  if (refused.ok()) refused = ref.status();
  if (!refused.ok()) {
    reactor->Finish(ToGrpcStatus(refused));
    return reactor;
  }
  backend().engine->Load(ref->ToString(),
                         [reactor, fill = std::move(fill), in_flight = calls_->Enter()](
                             const absl::StatusOr<std::shared_ptr<const FrozenModel>>& model) {
                           if (model.ok()) fill(**model);
                           reactor->Finish(ToGrpcStatus(model.status()));
                         });
  return reactor;
}

grpc::ServerUnaryReactor* OpenInferenceService::ServerLive(
    Context* context, const inference::ServerLiveRequest* /*request*/,
    inference::ServerLiveResponse* response) {
  response->set_live(true);
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* OpenInferenceService::ServerReady(
    Context* context, const inference::ServerReadyRequest* /*request*/,
    inference::ServerReadyResponse* response) {
  response->set_ready(gate_.Check(/*new_work=*/true).ok());
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* OpenInferenceService::ModelReady(
    Context* context, const inference::ModelReadyRequest* request,
    inference::ModelReadyResponse* response) {
  return Answer(context, /*new_work=*/true, [&]() -> absl::Status {
    VIT_ASSIGN_OR_RETURN(const ModelRef ref, ParseModel(request->name(), request->version()));
    const absl::Status found = backend().source->Find(ref).status();
    response->set_ready(found.ok());
    return absl::IsNotFound(found) || absl::IsUnavailable(found) ? absl::OkStatus() : found;
  });
}

grpc::ServerUnaryReactor* OpenInferenceService::ServerMetadata(
    Context* context, const inference::ServerMetadataRequest* /*request*/,
    inference::ServerMetadataResponse* response) {
  return Answer(context, /*new_work=*/false, [&] {
    response->set_name("vitd");
    response->set_version(version_);
    for (const char* extension : {"classification", "model_configuration", "model_repository",
                                  "parameters", "schedule_policy", "statistics"}) {
      response->add_extensions(extension);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* OpenInferenceService::ModelMetadata(
    Context* context, const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* response) {
  return AnswerLoaded(context, request->name(), request->version(),
                      [=, this](const FrozenModel& model) {
                        *response = DescribeModel(model, Versions(model, request->version()));
                      });
}

std::vector<std::string> OpenInferenceService::Versions(const FrozenModel& model,
                                                        const std::string& version) const {
  const ModelRef& ref = model.source().ref;
  if (version.empty() && !ref.is_run()) {
    if (const auto known = backend().models->List(ModelName(ref)); known.ok()) {
      std::vector<std::string> versions;
      for (const vit::v1::ModelVersion& about : *known) {
        versions.push_back(absl::StrCat(about.version()));
      }
      return versions;
    }
  }
  return {ModelVersionName(ref)};
}

grpc::ServerUnaryReactor* OpenInferenceService::ModelConfig(
    Context* context, const inference::ModelConfigRequest* request,
    inference::ModelConfigResponse* response) {
  return AnswerLoaded(context, request->name(), request->version(),
                      [=, this](const FrozenModel& model) {
                        *response->mutable_config() = ConfigureModel(model, backend().limits);
                      });
}

void OpenInferenceService::Infer(const inference::ModelInferRequest& request,
                                 const CallContext& context,
                                 inference::ModelInferResponse* response,
                                 std::function<void(const absl::Status&)> done) const {
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    return done(refused);
  }
  AnswerInfer({.engine = backend().engine,
               .observer = backend().observer,
               .max_images_per_request = backend().limits.max_images_per_request,
               .clock = clock_},
              request, context, response,
              [done = std::move(done), in_flight = calls_->Enter()](const absl::Status& status) {
                done(status);
              });
}

grpc::ServerUnaryReactor* OpenInferenceService::ModelInfer(
    Context* context, const inference::ModelInferRequest* request,
    inference::ModelInferResponse* response) {
  auto* reactor = new CallReactor;
  Infer(*request, {.deadline = CallDeadline(*context), .cancelled = reactor->cancelled()}, response,
        [reactor](const absl::Status& status) { reactor->Finish(ToGrpcStatus(status)); });
  return reactor;
}

grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>*
OpenInferenceService::ModelStreamInfer(Context* context) {
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    return new InferStream(refused);
  }
  return new InferStream(
      [this](const inference::ModelInferRequest& request, const CallContext& call,
             inference::ModelInferResponse* response,
             std::function<void(const absl::Status&)> done) {
        Infer(request, call, response, std::move(done));
      },
      CallDeadline(*context));
}

grpc::ServerUnaryReactor* OpenInferenceService::ModelStatistics(
    Context* context, const inference::ModelStatisticsRequest* request,
    inference::ModelStatisticsResponse* response) {
  return Answer(context, /*new_work=*/false, [&] { return GetStatistics(*request, response); });
}

absl::Status OpenInferenceService::GetStatistics(
    const inference::ModelStatisticsRequest& request,
    inference::ModelStatisticsResponse* response) const {
  std::vector<inference::ModelStatistics> statistics;
  if (request.name().empty()) {
    statistics = backend().statistics->All();
  } else {
    VIT_ASSIGN_OR_RETURN(ModelRef ref, ParseModel(request.name(), request.version()));
    VIT_ASSIGN_OR_RETURN(const ServableModel model, backend().source->Find(ref));
    ref.kind = model.ref.kind;
    ref.name = model.ref.name;
    statistics = backend().statistics->Of(ref);
    if (statistics.empty()) {  // known, but never loaded
      statistics.emplace_back().set_name(ModelName(model.ref));
      statistics.back().set_version(ModelVersionName(model.ref));
    }
  }
  for (inference::ModelStatistics& version : statistics) {
    *response->add_model_stats() = std::move(version);
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* OpenInferenceService::RepositoryIndex(
    Context* context, const inference::RepositoryIndexRequest* request,
    inference::RepositoryIndexResponse* response) {
  return AnswerOnPool(pool_, calls_, context, gate_.Check(/*new_work=*/false),
                      [=, this] { return GetIndex(*request, response); });
}

absl::Status OpenInferenceService::GetIndex(const inference::RepositoryIndexRequest& request,
                                            inference::RepositoryIndexResponse* response) const {
  VIT_RETURN_IF_ERROR(CheckRepositoryName(request.repository_name()));
  VIT_ASSIGN_OR_RETURN(const std::vector<vit::v1::ModelVersion> models, backend().models->List(""));
  const std::map<std::string, int64_t> loaded = backend().engine->Loaded();
  const auto is_loaded = [&](const std::string& name, int64_t version) {
    const auto found = loaded.find(name);
    return found != loaded.end() && found->second == version;
  };
  const auto add = [&](const std::string& name, int64_t version, bool ready) {
    if (!ready && request.ready()) return;
    inference::RepositoryIndexResponse::ModelIndex* index = response->add_models();
    index->set_name(name);
    index->set_version(absl::StrCat(version));
    index->set_state(ready ? kReady : kUnavailable);
    if (!ready) index->set_reason("not loaded; loads at the first request");
  };
  for (const vit::v1::ModelVersion& about : models) {
    add(about.name(), about.version(),
        is_loaded(about.name(), about.version()) ||
            is_loaded(ModelRef::Model(about.name(), about.version()).ToString(), about.version()));
  }
  // A run is not in the repository, but answers while it is in memory as these do.
  for (const auto& [name, version] : loaded) {
    const absl::StatusOr<ModelRef> ref = ModelRef::Parse(name);
    if (!ref.ok() || !ref->is_run()) continue;
    if (ref->number != ModelRef::kServed && is_loaded(ModelName(*ref), version)) continue;
    add(ModelName(*ref), version, /*ready=*/true);
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* OpenInferenceService::RepositoryModelLoad(
    Context* context, const inference::RepositoryModelLoadRequest* request,
    inference::RepositoryModelLoadResponse* /*response*/) {
  absl::Status refused = CheckRepositoryName(request->repository_name());
  if (!request->parameters().empty()) {
    refused = absl::InvalidArgumentError(
        "a model is loaded as it is in the repository: its configuration and files cannot be "
        "given; leave the parameters out");
  }
  if (!refused.ok()) return Answer(context, /*new_work=*/true, [&] { return refused; });
  return AnswerLoaded(context, request->model_name(), "", [](const FrozenModel& /*model*/) {});
}

grpc::ServerUnaryReactor* OpenInferenceService::RepositoryModelUnload(
    Context* context, const inference::RepositoryModelUnloadRequest* request,
    inference::RepositoryModelUnloadResponse* /*response*/) {
  return AnswerOnPool(pool_, calls_, context, gate_.Check(/*new_work=*/true),
                      [=, this]() -> absl::Status {
                        VIT_RETURN_IF_ERROR(CheckRepositoryName(request->repository_name()));
                        return Unload(request->model_name());
                      });
}

absl::Status OpenInferenceService::Unload(const std::string& name) const {
  VIT_ASSIGN_OR_RETURN(const ModelRef ref, ParseModel(name, ""));
  VIT_ASSIGN_OR_RETURN(const ServableModel model, backend().source->Find(ref));
  // Its versions that were asked for by number are models of their own in the engine.
  bool found = false;
  for (const auto& [loaded, version] : backend().engine->Loaded()) {
    const bool numbered =
        ref.number == ModelRef::kServed && absl::StartsWith(loaded, absl::StrCat(model.name, "@"));
    if (loaded != model.name && !numbered) continue;
    backend().engine->Unload(loaded);
    found = true;
  }
  if (found) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(model.name, " is not in memory"));
}

}  // namespace vit
