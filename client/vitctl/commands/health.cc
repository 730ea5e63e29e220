#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/vitctl/commands/commands.h"

namespace vit {
namespace {

int CheckHealth(Session& session, const std::string& service) {
  auto client = session.Client(absl::Seconds(5));
  if (!client.ok()) return session.Fail(client.status());
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  auto response = (*client)->CheckHealth(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
  } else {
    session.out() << grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response->status())
                  << "\n";
  }
  return response->status() == grpc::health::v1::HealthCheckResponse::SERVING ? kExitOk
                                                                              : kExitUnavailable;
}

}  // namespace

void AddHealth(CLI::App& app, Session& session) {
  auto service = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("health", "Check whether vitd serves; exits 0 only if it does");
  command->add_option("--service", *service, "Check one service, such as vit.v1.InferenceService")
      ->type_name("NAME");
  command->callback([&session, service] {
    session.action = [&session, service] { return CheckHealth(session, *service); };
  });
}

}  // namespace vit
