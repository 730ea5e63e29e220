#include "server/metrics_endpoint.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

// civetweb takes only numeric addresses.
std::string CivetAddress(const ListenAddress& address) {
  ListenAddress numeric = address;
  if (numeric.host == "localhost") numeric.host = "127.0.0.1";
  return numeric.ToString();
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Create(
    const ListenAddress& address,
    std::vector<std::shared_ptr<prometheus::Collectable>> collectables) {
  std::unique_ptr<MetricsEndpoint> endpoint(new MetricsEndpoint);
  try {
    // A client that sends its request slowly holds one of the threads, for 5 s at most.
    endpoint->exposer_ = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", CivetAddress(address), "num_threads", "4",
                                 "request_timeout_ms", "5000"});
  } catch (const std::exception&) {
    return ExplainListenFailure(address);  // the exception does not say why
  }
  endpoint->collectables_ = std::move(collectables);
  for (const auto& collectable : endpoint->collectables_)
    endpoint->exposer_->RegisterCollectable(collectable);
  return endpoint;
}

int MetricsEndpoint::port() const {
  const std::vector<int> ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports[0];
}

}  // namespace vit
