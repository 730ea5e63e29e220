// Unary calls that are answered from a pool of threads.
#ifndef VIT_SERVER_SERVICES_POOL_ANSWER_H_
#define VIT_SERVER_SERVICES_POOL_ANSWER_H_

#include <grpcpp/server_context.h>

#include <functional>

#include "absl/status/status.h"
#include "core/base/task_pool.h"
#include "server/services/call_tracker.h"

namespace vit {

// Answers with `admitted` if it is an error. Otherwise with what `call` returns, which runs on
// `pool` unless the client has gone by then; if the pool is full, its refusal is the answer.
grpc::ServerUnaryReactor* AnswerOnPool(TaskPool* pool, CallTracker* calls,
                                       grpc::CallbackServerContext* context,
                                       const absl::Status& admitted,
                                       std::function<absl::Status()> call);

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_POOL_ANSWER_H_
