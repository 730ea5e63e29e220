#include "server/services/training_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/spec/presets.h"
#include "core/train/preset_sizes.h"
#include "core/train/preview.h"
#include "proto/schema.h"
#include "server/net/grpc_status.h"
#include "server/services/pool_answer.h"

namespace vit {
namespace {

// A stream that has ended before it began.
class RefusedWatch : public grpc::ServerWriteReactor<vit::v1::WatchResponse> {
 public:
  explicit RefusedWatch(const absl::Status& why) { Finish(ToGrpcStatus(why)); }
  void OnDone() override { delete this; }
};

// Takes the value of `from` into `into`, or returns its error.
template <typename T>
absl::Status Take(absl::StatusOr<T> from, T* into) {
  if (!from.ok()) return from.status();
  *into = *std::move(from);
  return absl::OkStatus();
}

absl::Status FindPresets(const vit::v1::ListPresetsRequest& request,
                         vit::v1::ListPresetsResponse* response) {
  const std::string& name = request.name();
  const double most =
      RuleOf(vit::v1::TrainingSpec::descriptor()->FindFieldByName("batch_size")).max();
  if (request.batch_size() < 0 || request.batch_size() > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch_size is ", request.batch_size(), "; expected 0 to ", NumberText(most)));
  }
  std::vector<vit::v1::Preset> presets = AllPresets();
  if (!name.empty()) {
    VIT_ASSIGN_OR_RETURN(const vit::v1::Preset* preset, FindPreset(name));
    presets = {*preset};
  }
  for (vit::v1::Preset& preset : presets) {
    SetPresetSizes(request.batch_size(), &preset);
    *response->add_presets() = std::move(preset);
  }
  return absl::OkStatus();
}

}  // namespace

void TrainingService::Serve(RunManager* runs, const TrainingEnvironment& environment) {
  gate_.Serve({.runs = runs,
               .environment = environment,
               .watches = std::make_shared<WatchHub>(runs, WatchHub::Options{.clock = clock_})});
}

void TrainingService::RefuseNewWork() {
  gate_.Drain();
  if (gate_.backend().watches != nullptr) gate_.backend().watches->AnnounceShutdown();
}

void TrainingService::EndWatches() {
  if (gate_.backend().watches != nullptr) gate_.backend().watches->Drain();
}

grpc::ServerUnaryReactor* TrainingService::Answer(Context* context, const Call& call) {
  Reactor* reactor = context->DefaultReactor();
  const absl::Status refused = gate_.Check(/*new_work=*/false);
  reactor->Finish(ToGrpcStatus(refused.ok() ? call(gate_.backend()) : refused));
  return reactor;
}

grpc::ServerUnaryReactor* TrainingService::AnswerOnPool(Context* context, bool new_work,
                                                        Call call) {
  const auto answer = [this, new_work, call = std::move(call)] {
    const absl::Status late = gate_.Check(new_work);  // it may have waited
    return late.ok() ? call(gate_.backend()) : late;
  };
  return vit::AnswerOnPool(pool_, calls_, context, gate_.Check(new_work), answer);
}

grpc::ServerUnaryReactor* TrainingService::StartTraining(
    Context* context, const vit::v1::StartTrainingRequest* request,
    vit::v1::StartTrainingResponse* response) {
  return AnswerOnPool(context, /*new_work=*/true, [=](const Backend& backend) {
    return Take(backend.runs->Start(*request, [context] { return context->IsCancelled(); }),
                response);
  });
}

grpc::ServerUnaryReactor* TrainingService::Status(Context* context,
                                                  const vit::v1::StatusRequest* request,
                                                  vit::v1::StatusResponse* response) {
  return Answer(context, [=](const Backend& backend) {
    return Take(backend.runs->GetStatus(request->run()), response);
  });
}

grpc::ServerWriteReactor<vit::v1::WatchResponse>* TrainingService::Watch(
    Context* /*context*/, const vit::v1::WatchRequest* request) {
  const absl::Status refused = gate_.Check(/*new_work=*/false);
  if (!refused.ok()) return new RefusedWatch(refused);
  return gate_.backend().watches->Watch(*request);
}

grpc::ServerUnaryReactor* TrainingService::ListRuns(Context* context,
                                                    const vit::v1::ListRunsRequest* request,
                                                    vit::v1::ListRunsResponse* response) {
  return AnswerOnPool(context, /*new_work=*/false, [=](const Backend& backend) {
    return Take(backend.runs->List(*request), response);
  });
}

grpc::ServerUnaryReactor* TrainingService::StopRun(Context* context,
                                                   const vit::v1::StopRunRequest* request,
                                                   vit::v1::StopRunResponse* response) {
  return Answer(context, [=](const Backend& backend) {
    return Take(backend.runs->Stop(request->run()), response->mutable_run());
  });
}

grpc::ServerUnaryReactor* TrainingService::ResumeRun(Context* context,
                                                     const vit::v1::ResumeRunRequest* request,
                                                     vit::v1::ResumeRunResponse* response) {
  return AnswerOnPool(context, /*new_work=*/true, [=](const Backend& backend) {
    return Take(backend.runs->Resume(*request, [context] { return context->IsCancelled(); }),
                response->mutable_run());
  });
}

grpc::ServerUnaryReactor* TrainingService::DeleteRun(Context* context,
                                                     const vit::v1::DeleteRunRequest* request,
                                                     vit::v1::DeleteRunResponse* /*response*/) {
  return AnswerOnPool(context, /*new_work=*/false,
                      [=](const Backend& backend) { return backend.runs->Delete(request->run()); });
}

grpc::ServerUnaryReactor* TrainingService::GetHistory(Context* context,
                                                      const vit::v1::GetHistoryRequest* request,
                                                      vit::v1::GetHistoryResponse* response) {
  return AnswerOnPool(context, /*new_work=*/false, [=](const Backend& backend) {
    return Take(backend.runs->GetHistory(*request), response);
  });
}

grpc::ServerUnaryReactor* TrainingService::GetEvaluation(
    Context* context, const vit::v1::GetEvaluationRequest* request,
    vit::v1::GetEvaluationResponse* response) {
  return AnswerOnPool(context, /*new_work=*/false, [=](const Backend& backend) {
    return Take(backend.runs->GetEvaluation(*request), response);
  });
}

grpc::ServerUnaryReactor* TrainingService::PreviewData(Context* context,
                                                       const vit::v1::PreviewDataRequest* request,
                                                       vit::v1::PreviewDataResponse* response) {
  return AnswerOnPool(context, /*new_work=*/false, [=](const Backend& backend) {
    return Take(vit::PreviewData(*request, backend.environment), response);
  });
}

grpc::ServerUnaryReactor* TrainingService::ListPresets(Context* context,
                                                       const vit::v1::ListPresetsRequest* request,
                                                       vit::v1::ListPresetsResponse* response) {
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(FindPresets(*request, response)));
  return reactor;
}

}  // namespace vit
