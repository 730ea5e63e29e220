#include "server/services/inference_service.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "server/net/grpc_status.h"

namespace vit {
namespace {

absl::Time Deadline(const grpc::CallbackServerContext& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture()
                                                                  : absl::FromChrono(deadline);
}

// One call. Deletes itself when gRPC is done with it; the engine keeps only the flag.
class CallReactor : public grpc::ServerUnaryReactor {
 public:
  void OnCancel() override { *cancelled_ = true; }
  void OnDone() override { delete this; }

  std::shared_ptr<std::atomic<bool>> cancelled() const { return cancelled_; }

 private:
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

template <typename Request, typename Response>
grpc::ServerUnaryReactor* InferenceService::Answer(
    grpc::CallbackServerContext* context, const Request& request, Response* response,
    void (InferenceEngine::*method)(Request, absl::Time, std::function<bool()>,
                                    std::function<void(absl::StatusOr<Response>)>)) {
  auto* reactor = new CallReactor;
  if (const absl::Status refused = gate_.Check(/*new_work=*/true); !refused.ok()) {
    reactor->Finish(ToGrpcStatus(refused));
    return reactor;
  }
  (gate_.backend()->*method)(
      request, Deadline(*context), [cancelled = reactor->cancelled()] { return cancelled->load(); },
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
