#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/follow.h"
#include "client/vitctl/spec_options.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

struct ResumeOptions {
  std::string run;
  int loader_threads = 0;
  SpecOptions changes;
  bool watch = false;
};

int ResumeRun(Session& session, const ResumeOptions& options) {
  vit::v1::ResumeRunRequest request;
  if (!options.changes.set.empty()) {
    auto changes = BuildSpec(options.changes, *session.io().in);
    if (!changes.ok()) return session.Fail(changes.status());
    *request.mutable_changes() = *std::move(changes);
  }
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  request.set_run(options.run);
  request.set_loader_threads(options.loader_threads);
  auto response = (*client)->ResumeRun(request);
  if (!response.ok()) return session.Fail(response.status());
  const vit::v1::Run& run = response->run();
  if (session.json()) {
    if (options.watch) {
      session.out() << ToJson(*response, /*pretty=*/false) << std::endl;
    } else {
      session.PrintJson(*response);
    }
  } else {
    session.out() << "run " << RunTitle(run) << " continues from step "
                  << FormatCount(run.has_last_checkpoint() ? run.last_checkpoint().step()
                                                           : run.step())
                  << " of " << FormatCount(run.total_steps());
    if (run.queue_position() > 1) session.out() << ", " << PhaseText(run);
    session.out() << "\n";
    if (!options.watch) {
      session.out() << "follow it with: " << session.CommandLine(absl::StrCat("watch ", run.id()))
                    << "\n";
    }
    session.out().flush();
  }
  if (!options.watch) return kExitOk;
  FollowOptions follow;
  follow.timeout = session.given_timeout();
  return FollowRun(session, **client, run.id(), follow);
}

}  // namespace

void AddResume(CLI::App& app, Session& session) {
  auto options = std::make_shared<ResumeOptions>();
  CLI::App* command = app.add_subcommand("resume", "Continue a run from its last checkpoint");
  command->add_option("RUN", options->run, "Id, its start, or name")->type_name("RUN")->required();
  command
      ->add_option("--loader-threads", options->loader_threads,
                   "Threads that load data from now on")
      ->type_name("N")
      ->check(CLI::Range(1, 1024).description(""));
  command->add_option("--set", options->changes.set, "Change a field from here on; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--watch", options->watch, "Follow the run to its end");
  command->footer(
      R"(A run that succeeded continues if --set makes it longer. These may change:
epochs or max_steps, schedule, optimizer.learning_rate (or what it follows from:
base_learning_rate, base_batch_size, learning_rate_scaling), evaluation,
checkpoint, log_every_steps and early_stopping. vitctl -o json status RUN lists
the specs that the run followed, with the step from which each applied.

  vitctl resume RUN --set epochs=40 --set optimizer.learning_rate=1e-4 --watch
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return ResumeRun(session, *options); };
  });
}

}  // namespace vit
