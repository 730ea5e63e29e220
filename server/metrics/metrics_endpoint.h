// GET /metrics over HTTP.
#ifndef VIT_SERVER_METRICS_METRICS_ENDPOINT_H_
#define VIT_SERVER_METRICS_METRICS_ENDPOINT_H_

#include <prometheus/collectable.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "server/net/http_server.h"
#include "server/net/listen_address.h"

namespace vit {

// Serves the metrics of some collectables until it is destroyed. Thread-safe.
class MetricsEndpoint {
 public:
  // Listens on `address`. FAILED_PRECONDITION if the port is taken.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Create(
      const ListenAddress& address,
      std::vector<std::shared_ptr<prometheus::Collectable>> collectables);

  // Returns the port it listens on, also if port 0 was requested.
  int port() const { return server_->port(); }

 private:
  explicit MetricsEndpoint(std::unique_ptr<HttpServer> server) : server_(std::move(server)) {}

  const std::unique_ptr<HttpServer> server_;
};

}  // namespace vit

#endif  // VIT_SERVER_METRICS_METRICS_ENDPOINT_H_
