#include "server/services/inference_service.h"

#include <utility>

#include "server/net/grpc_status.h"
#include "server/services/call_reactor.h"

namespace vit {

template <typename Request, typename Response>
grpc::ServerUnaryReactor* InferenceService::Answer(
    grpc::CallbackServerContext* context, const Request& request, Response* response,
    void (InferenceEngine::*method)(const Request&, const CallContext&,
                                    std::function<void(absl::StatusOr<Response>)>)) {
  auto* reactor = new CallReactor;
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    reactor->Finish(ToGrpcStatus(refused));
    return reactor;
  }
  (gate_.backend()->*method)(
      request, {.deadline = CallDeadline(*context), .cancelled = reactor->cancelled()},
      [reactor, response, in_flight = calls_->Enter()](absl::StatusOr<Response> answer) {
        const grpc::Status status = ToGrpcStatus(answer.status());
        if (answer.ok()) *response = *std::move(answer);
        reactor->Finish(status);
      });
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::Classify(grpc::CallbackServerContext* context,
                                                     const vit::v1::ClassifyRequest* request,
                                                     vit::v1::ClassifyResponse* response) {
  return Answer(context, *request, response, &InferenceEngine::Classify);
}

grpc::ServerUnaryReactor* InferenceService::Embed(grpc::CallbackServerContext* context,
                                                  const vit::v1::EmbedRequest* request,
                                                  vit::v1::EmbedResponse* response) {
  return Answer(context, *request, response, &InferenceEngine::Embed);
}

grpc::ServerUnaryReactor* InferenceService::Explain(grpc::CallbackServerContext* context,
                                                    const vit::v1::ExplainRequest* request,
                                                    vit::v1::ExplainResponse* response) {
  return Answer(context, *request, response, &InferenceEngine::Explain);
}

}  // namespace vit
