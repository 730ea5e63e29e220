// GET /metrics over HTTP.
#ifndef VIT_SERVER_METRICS_ENDPOINT_H_
#define VIT_SERVER_METRICS_ENDPOINT_H_

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/listen_address.h"

namespace vit {

// Serves the metrics of some collectables until it is destroyed. Thread-safe.
class MetricsEndpoint {
 public:
  // Listens on `address`. FAILED_PRECONDITION where the port is taken.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Create(
      const ListenAddress& address,
      std::vector<std::shared_ptr<prometheus::Collectable>> collectables);

  ~MetricsEndpoint();

  // The port it listens on, also where port 0 was asked for.
  int port() const;

 private:
  explicit MetricsEndpoint(const ListenAddress& address) : address_(address) {}

  const ListenAddress address_;
  std::vector<std::shared_ptr<prometheus::Collectable>>
      collectables_;  // the exposer holds them weakly
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace vit

#endif  // VIT_SERVER_METRICS_ENDPOINT_H_
