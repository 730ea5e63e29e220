#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/run_text.h"

namespace vit {
namespace {

int StopRun(Session& session, const std::string& run) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::StopRunRequest request;
  request.set_run(run);
  auto response = (*client)->StopRun(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  const vit::v1::Run& stopped = response->run();
  const bool stopping = stopped.state() == vit::v1::RUN_STATE_STOPPING;
  session.out() << "run " << RunTitle(stopped)
                << (stopping ? " writes a checkpoint and stops" : " is stopped");
  if (stopping || stopped.has_last_checkpoint()) {
    session.out() << "; continue it later: "
                  << session.CommandLine(absl::StrCat("resume ", stopped.id()));
  }
  session.out() << "\n";
  return kExitOk;
}

}  // namespace

void AddStop(CLI::App& app, Session& session) {
  auto run = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("stop", "Stop a run, after a checkpoint");
  command->add_option("RUN", *run, "Id, its start, or name")->type_name("RUN")->required();
  command->callback(
      [&session, run] { session.action = [&session, run] { return StopRun(session, *run); }; });
}

}  // namespace vit
