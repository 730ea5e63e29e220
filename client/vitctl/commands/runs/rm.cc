#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/vitctl/commands/commands.h"

namespace vit {
namespace {

// Removes a run, or a model if `target` begins with "model:"; returns what was done, in words.
absl::StatusOr<std::string> Remove(VitClient& client, const std::string& target) {
  absl::string_view model = target;
  if (absl::ConsumePrefix(&model, "model:")) {
    vit::v1::RemoveModelRequest request;
    request.set_model(std::string(model));
    const auto response = client.RemoveModel(request);
    if (!response.ok()) return response.status();
    return absl::StrCat("removed ", response->versions(),
                        response->versions() == 1 ? " version" : " versions", " of model ",
                        std::string(model.substr(0, model.find('@'))));
  }
  vit::v1::DeleteRunRequest request;
  request.set_run(target);
  const auto response = client.DeleteRun(request);
  if (!response.ok()) return response.status();
  return absl::StrCat("removed run ", target, " with its files");
}

// Every target is tried; the exit code is the first failure's.
int RemoveAll(Session& session, const std::vector<std::string>& targets) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  int exit_code = kExitOk;
  nlohmann::ordered_json deleted = nlohmann::ordered_json::array();
  for (const std::string& target : targets) {
    const auto removed = Remove(**client, target);
    if (!removed.ok()) {
      const int code = session.Fail(removed.status());
      if (exit_code == kExitOk) exit_code = code;
      if (IsUnreachable(removed.status())) break;
      continue;
    }
    deleted.push_back(target);
    if (!session.json()) session.out() << *removed << "\n";
  }
  if (session.json()) session.out() << nlohmann::ordered_json{{"removed", deleted}}.dump(1) << "\n";
  return exit_code;
}

}  // namespace

void AddRm(CLI::App& app, Session& session) {
  auto targets = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("rm", "Remove finished runs, or models");
  command->add_option("RUN", *targets, "Ids, starts of ids, names; model:NAME[@V]")
      ->type_name("RUN")
      ->required();
  command->callback([&session, targets] {
    session.action = [&session, targets] { return RemoveAll(session, *targets); };
  });
}

}  // namespace vit
