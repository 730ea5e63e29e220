// vit.v1.InferenceService: the InferenceEngine, over gRPC.
#ifndef VIT_SERVER_SERVICES_INFERENCE_SERVICE_H_
#define VIT_SERVER_SERVICES_INFERENCE_SERVICE_H_

#include <functional>

#include "core/infer/inference_engine.h"
#include "server/services/call_tracker.h"
#include "server/services/service_gate.h"
#include "vit/v1/inference.grpc.pb.h"

namespace vit {

// Answers UNAVAILABLE until Serve, and again after RefuseNewWork. No thread waits for an answer.
// Thread-safe.
class InferenceService final : public vit::v1::InferenceService::CallbackService {
 public:
  // `calls` must outlive the service.
  explicit InferenceService(CallTracker* calls) : calls_(calls) {}

  // Begins to answer from `engine`, which must outlive the service. Called once.
  void Serve(InferenceEngine* engine) { gate_.Serve(engine); }
  void RefuseNewWork() { gate_.Drain(); }

 private:
  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const vit::v1::ClassifyRequest* request,
                                     vit::v1::ClassifyResponse* response) override;
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const vit::v1::EmbedRequest* request,
                                  vit::v1::EmbedResponse* response) override;
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const vit::v1::ExplainRequest* request,
                                    vit::v1::ExplainResponse* response) override;

  // Answers with the result of the engine's `method`.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context, const Request& request, Response* response,
      void (InferenceEngine::*method)(const Request&, const CallContext&,
                                      std::function<void(absl::StatusOr<Response>)>));

  CallTracker* const calls_;
  ServiceGate<InferenceEngine*> gate_;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_INFERENCE_SERVICE_H_
