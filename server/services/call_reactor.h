// What a call tells the engine: its deadline, and when its client goes away.
#ifndef VIT_SERVER_SERVICES_CALL_REACTOR_H_
#define VIT_SERVER_SERVICES_CALL_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <stop_token>

#include "absl/time/time.h"

namespace vit {

inline absl::Time CallDeadline(const grpc::CallbackServerContext& context) {
  const std::chrono::system_clock::time_point deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max() ? absl::InfiniteFuture()
                                                                  : absl::FromChrono(deadline);
}

// One call. Deletes itself when gRPC is done with it.
class CallReactor : public grpc::ServerUnaryReactor {
 public:
  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override { delete this; }

  std::stop_token cancelled() const { return stop_.get_token(); }

 private:
  std::stop_source stop_;
};

}  // namespace vit

#endif  // VIT_SERVER_SERVICES_CALL_REACTOR_H_
