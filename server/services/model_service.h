// vit.v1.ModelService: the ModelRepository, over gRPC.
#ifndef VIT_SERVER_SERVICES_MODEL_SERVICE_H_
#define VIT_SERVER_SERVICES_MODEL_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/task_pool.h"
#include "core/infer/inference_engine.h"
#include "core/models/model_repository.h"
#include "core/runs/run_manager.h"
#include "server/services/call_tracker.h"
#include "server/services/service_gate.h"
#include "vit/v1/repository.grpc.pb.h"

namespace vit {

// Answers UNAVAILABLE until Serve. Every call runs on `pool`. Thread-safe.
class ModelService final : public vit::v1::ModelService::CallbackService {
 public:
  struct Backend {
    RunManager* runs = nullptr;
    ModelRepository* models = nullptr;
    ModelSource* source = nullptr;
    InferenceEngine* engine = nullptr;
    std::vector<std::string> data_roots;
    // Where exports are written before they are sent; holds nothing else.
    std::filesystem::path export_dir;
  };

  // `pool` and `calls` must outlive the service.
  ModelService(TaskPool* pool, CallTracker* calls) : pool_(pool), calls_(calls) {}

  // Begins to answer from `backend`, whose parts must outlive the service. Called once.
  void Serve(Backend backend) { gate_.Serve(std::move(backend)); }
  // From now on calls that change something are UNAVAILABLE.
  void RefuseNewWork() { gate_.Drain(); }

 private:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ListModels(Context* context, const vit::v1::ListModelsRequest* request,
                      vit::v1::ListModelsResponse* response) override;
  Reactor* PublishRun(Context* context, const vit::v1::PublishRunRequest* request,
                      vit::v1::PublishRunResponse* response) override;
  Reactor* ImportModel(Context* context, const vit::v1::ImportModelRequest* request,
                       vit::v1::ImportModelResponse* response) override;
  Reactor* RemoveModel(Context* context, const vit::v1::RemoveModelRequest* request,
                       vit::v1::RemoveModelResponse* response) override;
  grpc::ServerWriteReactor<vit::v1::ExportModelResponse>* ExportModel(
      Context* context, const vit::v1::ExportModelRequest* request) override;
  Reactor* LoadModel(Context* context, const vit::v1::LoadModelRequest* request,
                     vit::v1::LoadModelResponse* response) override;
  Reactor* UnloadModel(Context* context, const vit::v1::UnloadModelRequest* request,
                       vit::v1::UnloadModelResponse* response) override;

  const Backend& backend() const { return gate_.backend(); }
  // Answers with what `call` returns, on the pool.
  Reactor* Answer(Context* context, bool changes, std::function<absl::Status()> call);
  absl::Status List(const vit::v1::ListModelsRequest& request,
                    vit::v1::ListModelsResponse* response);
  absl::Status Publish(const vit::v1::PublishRunRequest& request,
                       vit::v1::PublishRunResponse* response);
  // Returns the model that `text` refers to.
  absl::StatusOr<ServableModel> FindModel(const std::string& text) const;
  // Returns what is known about `model`, a version in the repository or a run's checkpoint.
  absl::StatusOr<vit::v1::ModelVersion> About(const ServableModel& model) const;
  absl::Status Export(const vit::v1::ExportModelRequest& request,
                      const std::filesystem::path& directory, vit::v1::ModelIdentity* identity);
  absl::Status Remove(const vit::v1::RemoveModelRequest& request,
                      vit::v1::RemoveModelResponse* response);
  absl::Status Unload(const vit::v1::UnloadModelRequest& request);

  TaskPool* const pool_;
  CallTracker* const calls_;
  ServiceGate<Backend> gate_;
  std::atomic<int64_t> exports_ = 0;  // so far
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_MODEL_SERVICE_H_
