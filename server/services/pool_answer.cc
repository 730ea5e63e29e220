#include "server/services/pool_answer.h"

#include <utility>

#include "server/net/grpc_status.h"

namespace vit {

grpc::ServerUnaryReactor* AnswerOnPool(TaskPool* pool, CallTracker* calls,
                                       grpc::CallbackServerContext* context,
                                       const absl::Status& admitted,
                                       std::function<absl::Status()> call) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!admitted.ok()) {
    reactor->Finish(ToGrpcStatus(admitted));
    return reactor;
  }
  const absl::Status queued =
      pool->Run([context, reactor, call = std::move(call), in_flight = calls->Enter()] {
        reactor->Finish(context->IsCancelled() ? grpc::Status::CANCELLED : ToGrpcStatus(call()));
      });
  if (!queued.ok()) reactor->Finish(ToGrpcStatus(queued));
  return reactor;
}

}  // namespace vit
