#include "server/metrics/metrics_endpoint.h"

#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>

#include "core/base/status.h"

namespace vit {

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Create(
    const ListenAddress& address,
    std::vector<std::shared_ptr<prometheus::Collectable>> collectables) {
  const auto answer = [collectables = std::move(collectables)](const HttpRequest& request) {
    if (request.path != "/metrics") {
      return HttpResponse{.status = 404, .body = "the metrics are at /metrics\n"};
    }
    std::vector<prometheus::MetricFamily> families;
    for (const auto& collectable : collectables) {
      std::vector<prometheus::MetricFamily> some = collectable->Collect();
      families.insert(families.end(), std::make_move_iterator(some.begin()),
                      std::make_move_iterator(some.end()));
    }
    return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = prometheus::TextSerializer().Serialize(families)};
  };
  VIT_ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> server, HttpServer::Create(address, answer));
  return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(server)));
}

}  // namespace vit
