#include "server/services/training_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/resolve_spec.h"
#include "proto/spec_text.h"
#include "server/net/grpc_status.h"
#include "server/services/pool_answer.h"

namespace vit {
namespace {

absl::Status Starting() {
  return absl::UnavailableError("vitd is starting; try again in a moment");
}

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
  if (request.batch_size() < 0 || request.batch_size() > (1 << 20)) {
    return absl::InvalidArgumentError(
        absl::StrCat("batch_size is ", request.batch_size(), "; expected 0 to 1048576"));
  }
  std::vector<std::string> names;
  for (const vit::v1::Preset& preset : AllPresets()) {
    if (name.empty() || preset.name() == name) {
      vit::v1::Preset* added = response->add_presets();
      *added = preset;
      added->set_training_memory_bytes(PresetTrainingMemory(preset, request.batch_size()));
    }
    names.push_back(preset.name());
  }
  if (!name.empty() && response->presets().empty()) {
    const std::string nearest = NearestName(name, names);
    return absl::NotFoundError(absl::StrCat("no preset '", name, "'",
                                            nearest.empty()
                                                ? "; ListPresets shows all"
                                                : absl::StrCat("; did you mean '", nearest, "'?")));
  }
  return absl::OkStatus();
}

}  // namespace

void TrainingService::Serve(RunManager* runs) {
  watches_ = std::make_unique<WatchHub>(runs, WatchHub::Options{.clock = clock_});
  runs_ = runs;
}

void TrainingService::RefuseNewWork() {
  draining_ = true;
  if (runs_ != nullptr) watches_->AnnounceShutdown();
}

void TrainingService::EndWatches() {
  if (runs_ != nullptr) watches_->Drain();
}

absl::Status TrainingService::CheckTakesWork() const {
  return draining_ ? absl::UnavailableError("vitd is shutting down; it takes no new runs")
                   : absl::OkStatus();
}

grpc::ServerUnaryReactor* TrainingService::Answer(
    Context* context, const std::function<absl::Status(RunManager*)>& call) {
  Reactor* reactor = context->DefaultReactor();
  RunManager* runs = runs_;
  reactor->Finish(ToGrpcStatus(runs == nullptr ? Starting() : call(runs)));
  return reactor;
}

grpc::ServerUnaryReactor* TrainingService::AnswerOnPool(
    Context* context, std::function<absl::Status(RunManager*)> call) {
  RunManager* runs = runs_;
  if (runs == nullptr) return Answer(context, call);
  return vit::AnswerOnPool(pool_, calls_, context,
                           [runs, call = std::move(call)] { return call(runs); });
}

grpc::ServerUnaryReactor* TrainingService::StartTraining(
    Context* context, const vit::v1::StartTrainingRequest* request,
    vit::v1::StartTrainingResponse* response) {
  return AnswerOnPool(context, [=, this](RunManager* runs) -> absl::Status {
    VIT_RETURN_IF_ERROR(CheckTakesWork());
    return Take(runs->Start(*request, [context] { return context->IsCancelled(); }), response);
  });
}

grpc::ServerUnaryReactor* TrainingService::Status(Context* context,
                                                  const vit::v1::StatusRequest* request,
                                                  vit::v1::StatusResponse* response) {
  return Answer(context,
                [=](RunManager* runs) { return Take(runs->GetStatus(request->run()), response); });
}

grpc::ServerWriteReactor<vit::v1::WatchResponse>* TrainingService::Watch(
    Context* /*context*/, const vit::v1::WatchRequest* request) {
  if (runs_ == nullptr) return new RefusedWatch(Starting());
  return watches_->Watch(*request);
}

grpc::ServerUnaryReactor* TrainingService::ListRuns(Context* context,
                                                    const vit::v1::ListRunsRequest* request,
                                                    vit::v1::ListRunsResponse* response) {
  return AnswerOnPool(context,
                      [=](RunManager* runs) { return Take(runs->List(*request), response); });
}

grpc::ServerUnaryReactor* TrainingService::StopRun(Context* context,
                                                   const vit::v1::StopRunRequest* request,
                                                   vit::v1::StopRunResponse* response) {
  return Answer(context, [=](RunManager* runs) {
    return Take(runs->Stop(request->run()), response->mutable_run());
  });
}

grpc::ServerUnaryReactor* TrainingService::ResumeRun(Context* context,
                                                     const vit::v1::ResumeRunRequest* request,
                                                     vit::v1::ResumeRunResponse* response) {
  return AnswerOnPool(context, [=, this](RunManager* runs) -> absl::Status {
    VIT_RETURN_IF_ERROR(CheckTakesWork());
    return Take(runs->Resume(*request, [context] { return context->IsCancelled(); }),
                response->mutable_run());
  });
}

grpc::ServerUnaryReactor* TrainingService::DeleteRun(Context* context,
                                                     const vit::v1::DeleteRunRequest* request,
                                                     vit::v1::DeleteRunResponse* /*response*/) {
  return AnswerOnPool(context, [=](RunManager* runs) { return runs->Delete(request->run()); });
}

grpc::ServerUnaryReactor* TrainingService::GetHistory(Context* context,
                                                      const vit::v1::GetHistoryRequest* request,
                                                      vit::v1::GetHistoryResponse* response) {
  return AnswerOnPool(context,
                      [=](RunManager* runs) { return Take(runs->GetHistory(*request), response); });
}

grpc::ServerUnaryReactor* TrainingService::GetEvaluation(
    Context* context, const vit::v1::GetEvaluationRequest* request,
    vit::v1::GetEvaluationResponse* response) {
  return AnswerOnPool(
      context, [=](RunManager* runs) { return Take(runs->GetEvaluation(*request), response); });
}

grpc::ServerUnaryReactor* TrainingService::PreviewData(Context* context,
                                                       const vit::v1::PreviewDataRequest* request,
                                                       vit::v1::PreviewDataResponse* response) {
  return AnswerOnPool(context,
                      [=](RunManager* runs) { return Take(runs->Preview(*request), response); });
}

grpc::ServerUnaryReactor* TrainingService::ListPresets(Context* context,
                                                       const vit::v1::ListPresetsRequest* request,
                                                       vit::v1::ListPresetsResponse* response) {
  Reactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(FindPresets(*request, response)));
  return reactor;
}

}  // namespace vit
