// vit.v1.TrainingService: the RunManager, over gRPC.
#ifndef VIT_SERVER_SERVICES_TRAINING_SERVICE_H_
#define VIT_SERVER_SERVICES_TRAINING_SERVICE_H_

#include <functional>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/task_pool.h"
#include "core/runs/run_manager.h"
#include "core/train/resolve_spec.h"
#include "server/services/call_tracker.h"
#include "server/services/service_gate.h"
#include "server/services/watch_hub.h"
#include "vit/v1/training.grpc.pb.h"

namespace vit {

// Answers UNAVAILABLE until Serve. Calls that may read many files or the history run on `pool`;
// Status never waits for one. Thread-safe.
class TrainingService final : public vit::v1::TrainingService::CallbackService {
 public:
  // `pool` and `calls` must outlive the service.
  TrainingService(TaskPool* pool, CallTracker* calls, Clock* clock)
      : pool_(pool), calls_(calls), clock_(clock) {}

  // Begins to answer from `runs`, which must outlive the service, and previews under
  // `environment`. Called once.
  void Serve(RunManager* runs, const TrainingEnvironment& environment);
  // From now on StartTraining and ResumeRun return UNAVAILABLE, as does a Watch whose run is
  // interrupted.
  void RefuseNewWork();
  // Ends every Watch stream.
  void EndWatches();

 private:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* StartTraining(Context* context, const vit::v1::StartTrainingRequest* request,
                         vit::v1::StartTrainingResponse* response) override;
  Reactor* Status(Context* context, const vit::v1::StatusRequest* request,
                  vit::v1::StatusResponse* response) override;
  grpc::ServerWriteReactor<vit::v1::WatchResponse>* Watch(
      Context* context, const vit::v1::WatchRequest* request) override;
  Reactor* ListRuns(Context* context, const vit::v1::ListRunsRequest* request,
                    vit::v1::ListRunsResponse* response) override;
  Reactor* StopRun(Context* context, const vit::v1::StopRunRequest* request,
                   vit::v1::StopRunResponse* response) override;
  Reactor* ResumeRun(Context* context, const vit::v1::ResumeRunRequest* request,
                     vit::v1::ResumeRunResponse* response) override;
  Reactor* DeleteRun(Context* context, const vit::v1::DeleteRunRequest* request,
                     vit::v1::DeleteRunResponse* response) override;
  Reactor* GetHistory(Context* context, const vit::v1::GetHistoryRequest* request,
                      vit::v1::GetHistoryResponse* response) override;
  Reactor* GetEvaluation(Context* context, const vit::v1::GetEvaluationRequest* request,
                         vit::v1::GetEvaluationResponse* response) override;
  Reactor* PreviewData(Context* context, const vit::v1::PreviewDataRequest* request,
                       vit::v1::PreviewDataResponse* response) override;
  Reactor* ListPresets(Context* context, const vit::v1::ListPresetsRequest* request,
                       vit::v1::ListPresetsResponse* response) override;

  struct Backend {
    RunManager* runs = nullptr;
    TrainingEnvironment environment;
    std::shared_ptr<WatchHub> watches;
  };
  using Call = std::function<absl::Status(const Backend&)>;

  // Answers with what `call` returns, which runs on the pool unless the client has gone by then.
  Reactor* AnswerOnPool(Context* context, bool new_work, Call call);
  // Answers with what `call` returns, at once.
  Reactor* Answer(Context* context, const Call& call);

  TaskPool* const pool_;
  CallTracker* const calls_;
  Clock* const clock_;
  ServiceGate<Backend> gate_;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_TRAINING_SERVICE_H_
