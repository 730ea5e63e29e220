#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/commands/commands.h"

namespace vit {
namespace {

// Every run is tried; the exit code is the first failure's.
int DeleteRuns(Session& session, const std::vector<std::string>& runs) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  int exit_code = kExitOk;
  nlohmann::ordered_json deleted = nlohmann::ordered_json::array();
  for (const std::string& run : runs) {
    vit::v1::DeleteRunRequest request;
    request.set_run(run);
    const auto response = (*client)->DeleteRun(request);
    if (!response.ok()) {
      const int code = session.Fail(response.status());
      if (exit_code == kExitOk) exit_code = code;
      if (IsUnreachable(response.status())) break;
      continue;
    }
    deleted.push_back(run);
    if (!session.json()) session.out() << "removed run " << run << " with its files\n";
  }
  if (session.json()) session.out() << nlohmann::ordered_json{{"removed", deleted}}.dump(1) << "\n";
  return exit_code;
}

}  // namespace

void AddRm(CLI::App& app, Session& session) {
  auto runs = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("rm", "Remove finished runs with their checkpoints");
  command->add_option("RUN", *runs, "Ids, starts of ids, or names")->type_name("RUN")->required();
  command->callback([&session, runs] {
    session.action = [&session, runs] { return DeleteRuns(session, *runs); };
  });
}

}  // namespace vit
