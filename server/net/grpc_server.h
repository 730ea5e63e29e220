// The gRPC server: its port, limits, health checks and reflection.
#ifndef VIT_SERVER_NET_GRPC_SERVER_H_
#define VIT_SERVER_NET_GRPC_SERVER_H_

#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/net/listen_address.h"

namespace vit {

// Serves some services, grpc.health.v1.Health (Check and Watch) and reflection. Every service is
// NOT_SERVING until SetServing. Thread-safe.
class GrpcServer {
 public:
  struct Options {
    ListenAddress address;
    int64_t max_image_bytes =
        0;  // a request may be large enough for four such images, 64 MiB at least
  };
  // Listens and answers from now on. FAILED_PRECONDITION if the port is taken. `services` must
  // outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Create(
      const Options& options, const std::vector<grpc::Service*>& services);
  ~GrpcServer();

  // Returns the port it listens on, also if port 0 was requested; 0 for a Unix socket.
  int port() const { return port_; }

  // Sets what a health check of the server and of each of vitd's services reports.
  void SetServing(bool serving);

  // Takes no more calls and waits for those in flight; after `grace` they are cancelled. Called at
  // most once.
  void Shutdown(absl::Duration grace);

  // Returns the bytes that a request may have, for images of at most `max_image_bytes`.
  static int MaxRequestBytes(int64_t max_image_bytes);

 private:
  GrpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  bool shut_down_ = false;
};

}  // namespace vit

#endif  // VIT_SERVER_NET_GRPC_SERVER_H_
