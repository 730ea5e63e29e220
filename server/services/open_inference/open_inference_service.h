// inference.GRPCInferenceService: the Open Inference Protocol, as clients of Triton and KServe
// speak it.
#ifndef VIT_SERVER_SERVICES_OPEN_INFERENCE_OPEN_INFERENCE_SERVICE_H_
#define VIT_SERVER_SERVICES_OPEN_INFERENCE_OPEN_INFERENCE_SERVICE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/task_pool.h"
#include "core/infer/inference_engine.h"
#include "core/models/model_repository.h"
#include "inference/grpc_predict_v2.grpc.pb.h"
#include "server/services/call_tracker.h"
#include "server/services/open_inference/model_statistics.h"
#include "server/services/open_inference/model_tensors.h"
#include "server/services/service_gate.h"

namespace vit {

// Answers UNAVAILABLE until Serve, and to new work after RefuseNewWork; ServerLive and ServerReady
// answer always. No thread waits for a model or an answer. docs/open-inference.md tells what models
// look like in this protocol. Thread-safe.
class OpenInferenceService final : public inference::GRPCInferenceService::CallbackService {
 public:
  struct Backend {
    InferenceEngine* engine = nullptr;
    ModelRepository* models = nullptr;
    ModelSource* source = nullptr;
    const vit::ModelStatistics* statistics = nullptr;  // observes the engine
    InferenceObserver* observer = nullptr;             // the engine's; may be null
    BatchLimits limits;                                // the engine's
  };

  // `pool` and `calls` must outlive the service. `version` is vitd's.
  OpenInferenceService(TaskPool* pool, CallTracker* calls, std::string version,
                       Clock* clock = Clock::Real())
      : pool_(pool), calls_(calls), version_(std::move(version)), clock_(clock) {}

  // Begins to answer from `backend`, whose parts must outlive the service. Called once.
  void Serve(const Backend& backend) { gate_.Serve(backend); }
  void RefuseNewWork() { gate_.Drain(); }

 private:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ServerLive(Context* context, const inference::ServerLiveRequest* request,
                      inference::ServerLiveResponse* response) override;
  Reactor* ServerReady(Context* context, const inference::ServerReadyRequest* request,
                       inference::ServerReadyResponse* response) override;
  Reactor* ModelReady(Context* context, const inference::ModelReadyRequest* request,
                      inference::ModelReadyResponse* response) override;
  Reactor* ServerMetadata(Context* context, const inference::ServerMetadataRequest* request,
                          inference::ServerMetadataResponse* response) override;
  Reactor* ModelMetadata(Context* context, const inference::ModelMetadataRequest* request,
                         inference::ModelMetadataResponse* response) override;
  Reactor* ModelInfer(Context* context, const inference::ModelInferRequest* request,
                      inference::ModelInferResponse* response) override;
  grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>*
  ModelStreamInfer(Context* context) override;
  Reactor* ModelConfig(Context* context, const inference::ModelConfigRequest* request,
                       inference::ModelConfigResponse* response) override;
  Reactor* ModelStatistics(Context* context, const inference::ModelStatisticsRequest* request,
                           inference::ModelStatisticsResponse* response) override;
  Reactor* RepositoryIndex(Context* context, const inference::RepositoryIndexRequest* request,
                           inference::RepositoryIndexResponse* response) override;
  Reactor* RepositoryModelLoad(Context* context,
                               const inference::RepositoryModelLoadRequest* request,
                               inference::RepositoryModelLoadResponse* response) override;
  Reactor* RepositoryModelUnload(Context* context,
                                 const inference::RepositoryModelUnloadRequest* request,
                                 inference::RepositoryModelUnloadResponse* response) override;

  const Backend& backend() const { return gate_.backend(); }
  // Answers immediately with what `call` returns.
  Reactor* Answer(Context* context, bool new_work, const std::function<absl::Status()>& call);
  // Answers once the model is loaded; `fill` fills in the response.
  Reactor* AnswerLoaded(Context* context, const std::string& name, const std::string& version,
                        std::function<void(const FrozenModel& model)> fill);
  void Infer(const inference::ModelInferRequest& request, const CallContext& context,
             inference::ModelInferResponse* response,
             std::function<void(const absl::Status&)> done) const;
  // Returns the versions that the name of `model` may be asked with.
  std::vector<std::string> Versions(const FrozenModel& model, const std::string& version) const;
  absl::Status GetStatistics(const inference::ModelStatisticsRequest& request,
                             inference::ModelStatisticsResponse* response) const;
  absl::Status GetIndex(const inference::RepositoryIndexRequest& request,
                        inference::RepositoryIndexResponse* response) const;
  absl::Status Unload(const std::string& name) const;

  TaskPool* const pool_;
  CallTracker* const calls_;
  const std::string version_;
  Clock* const clock_;
  ServiceGate<Backend> gate_;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_OPEN_INFERENCE_OPEN_INFERENCE_SERVICE_H_
