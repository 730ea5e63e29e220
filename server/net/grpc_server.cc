#include "server/net/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/status.h"
#include "inference/grpc_predict_v2.grpc.pb.h"
#include "server/net/malformed_requests.h"
#include "vit/v1/datasets.grpc.pb.h"
#include "vit/v1/inference.grpc.pb.h"
#include "vit/v1/repository.grpc.pb.h"
#include "vit/v1/training.grpc.pb.h"

namespace vit {

int GrpcServer::MaxRequestBytes(int64_t max_image_bytes) {
  constexpr int64_t kFraming = 1 << 20;  // everything in a request that is not an image
  const int64_t bytes = std::max(int64_t{64} << 20, 4 * max_image_bytes) + kFraming;
  return static_cast<int>(
      std::min<int64_t>(bytes, std::max(int64_t{1} << 30, max_image_bytes + kFraming)));
}

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(
    const Options& options, const std::vector<grpc::Service*>& services) {
  VIT_RETURN_IF_ERROR(RemoveStaleSocket(options.address));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  std::unique_ptr<GrpcServer> server(new GrpcServer);
  builder.AddListeningPort(options.address.ToString(), grpc::InsecureServerCredentials(),
                           &server->port_);
  // Otherwise two daemons could share a port, each getting some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(MaxRequestBytes(options.max_image_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  // Detects within 80 s that a Watch client's machine vanished.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients may ping as often, also between calls.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(MakeMalformedRequestInterceptors());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (grpc::Service* service : services) builder.RegisterService(service);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || server->port_ == 0) {
    return ExplainListenFailure(options.address);
  }
  if (!options.address.socket.empty()) server->port_ = 0;  // gRPC calls it port 1
  server->SetServing(false);
  return server;
}

GrpcServer::~GrpcServer() {
  if (server_ != nullptr) Shutdown(absl::ZeroDuration());
}

void GrpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus(serving);
  for (const char* service :
       {vit::v1::TrainingService::service_full_name(), vit::v1::ModelService::service_full_name(),
        vit::v1::InferenceService::service_full_name(), vit::v1::DataService::service_full_name(),
        inference::GRPCInferenceService::service_full_name()}) {
    health->SetServingStatus(service, serving);
  }
}

void GrpcServer::Shutdown(absl::Duration grace) {
  if (shut_down_) return;
  shut_down_ = true;
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(grace));
}

}  // namespace vit
