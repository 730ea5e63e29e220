#include "server/metrics_endpoint.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <future>
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

// Opens a connection to `address` and closes it.
void Knock(const ListenAddress& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found) != 0) {
    return;
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) {
    (void)!connect(fd, found->ai_addr, found->ai_addrlen);
    close(fd);
  }
  freeaddrinfo(found);
}

}  // namespace

MetricsEndpoint::~MetricsEndpoint() {
  // civetweb's listener looks up only every two seconds, or when somebody connects.
  const ListenAddress address = {.host = address_.host, .port = port()};
  const std::future<void> stopped = std::async(std::launch::async, [this] { exposer_.reset(); });
  while (stopped.wait_for(std::chrono::milliseconds(10)) != std::future_status::ready) {
    Knock(address);
  }
}

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Create(
    const ListenAddress& address,
    std::vector<std::shared_ptr<prometheus::Collectable>> collectables) {
  std::unique_ptr<prometheus::Exposer> exposer;
  try {
    // A client that sends its request slowly holds one of the threads, for 5 s at most.
    exposer = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", CivetAddress(address), "num_threads", "4",
                                 "request_timeout_ms", "5000"});
  } catch (const std::exception&) {
    return ExplainListenFailure(address);  // the exception does not say why
  }
  std::unique_ptr<MetricsEndpoint> endpoint(new MetricsEndpoint(address));
  endpoint->exposer_ = std::move(exposer);
  endpoint->collectables_ = std::move(collectables);
  for (const auto& collectable : endpoint->collectables_) {
    endpoint->exposer_->RegisterCollectable(collectable);
  }
  return endpoint;
}

int MetricsEndpoint::port() const {
  const std::vector<int> ports = exposer_->GetListeningPorts();
  return ports.empty() ? 0 : ports[0];
}

}  // namespace vit
