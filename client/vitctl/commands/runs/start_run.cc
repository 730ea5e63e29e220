#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/follow.h"
#include "client/vitctl/spec_arguments.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

struct StartRunOptions {
  SpecArguments spec;
  std::string name;
  bool watch = false;
  bool validate_only = false;
};

// The peak learning rate, and what it was computed from.
std::string PeakRate(const vit::v1::OptimizerConfig& optimizer) {
  std::string text = absl::StrCat("peak learning rate ", FormatRate(optimizer.learning_rate()));
  if (optimizer.has_base_learning_rate()) {
    absl::StrAppend(&text, ", from ", FormatRate(optimizer.base_learning_rate()), " at ",
                    FormatCount(optimizer.base_batch_size()), " images");
  }
  return text;
}

std::vector<std::pair<std::string, Table::Cell>> Summary(
    const vit::v1::StartTrainingResponse& response) {
  const vit::v1::TrainingSpec& spec = response.effective_spec();
  const vit::v1::ModelConfig& model = spec.model();
  std::vector<std::pair<std::string, Table::Cell>> fields = {
      {"model", absl::StrCat(FormatLarge(response.parameter_count()), " parameters: width ",
                             model.embed_dim(), ", depth ", model.depth(), ", ", model.num_heads(),
                             " heads, ", model.image_size(), " px, patch ", model.patch_size(),
                             ", ", model.num_classes(), " classes")},
      {"data", absl::StrCat(FormatCount(response.train_size()), " training and ",
                            FormatCount(response.validation_size()), " validation images of ",
                            Printable(spec.data().source()))}};
  for (const std::string& note : response.data_notes()) fields.emplace_back("", Printable(note));
  fields.emplace_back("length", absl::StrCat(FormatCount(response.total_steps()), " steps of ",
                                             FormatCount(spec.batch_size()), " images"));
  fields.emplace_back("rate", PeakRate(spec.optimizer()));
  const int64_t on_device = response.estimated_device_memory_bytes();
  fields.emplace_back(
      "memory",
      absl::StrCat(
          "about ", FormatBytes(response.estimated_memory_bytes()),
          on_device == 0 ? "" : absl::StrCat(", and ", FormatBytes(on_device), " on the device")));
  return fields;
}

// Prints the effective spec as a file that --spec reads, with a summary in its comments.
void PrintValidated(const Session& session, const vit::v1::StartTrainingResponse& response) {
  const std::string summary = RenderFields(Summary(response), 0, false, session.terminal().utf8);
  session.out() << "# valid; nothing was started\n";
  for (const absl::string_view line : absl::StrSplit(summary, '\n', absl::SkipEmpty())) {
    session.out() << "# " << std::string(line) << "\n";
  }
  session.out() << MessageToText(response.effective_spec());
}

int StartRun(Session& session, const StartRunOptions& options) {
  vit::v1::StartTrainingRequest request;
  auto spec = ReadSpec(session, options.spec);
  if (!spec.ok()) return session.Fail(spec.status());
  request.mutable_spec()->Swap(&*spec);
  request.set_preset(options.spec.preset);
  request.set_name(options.name);
  request.set_validate_only(options.validate_only);

  // Validation lists the data set, which takes a while for a large one.
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  auto response = (*client)->StartTraining(std::move(request));
  if (!response.ok()) return session.Fail(response.status());

  const Terminal& terminal = session.terminal();
  if (session.json()) {
    // With --watch every line is a message, so this one is too.
    if (options.watch && !options.validate_only) {
      session.out() << ToJson(*response, /*pretty=*/false) << std::endl;
    } else {
      session.PrintJson(*response);
    }
  } else if (options.validate_only) {
    PrintValidated(session, *response);
  } else {
    const vit::v1::Run& run = response->run();
    const bool queued = run.state() == vit::v1::RUN_STATE_QUEUED;
    session.out() << (queued ? "queued run " : "started run ") << RunTitle(run);
    if (queued && run.queue_position() == 1) session.out() << ", next in the queue";
    if (queued && run.queue_position() > 1) session.out() << ", " << PhaseText(run);
    session.out() << "\n"
                  << RenderFields(Summary(*response), terminal.columns(), terminal.color,
                                  terminal.utf8);
    if (!options.watch) {
      session.out() << "follow it with: " << session.CommandLine(absl::StrCat("watch ", run.id()))
                    << "\n";
    }
    session.out().flush();
  }
  if (!options.watch || options.validate_only) return kExitOk;
  FollowOptions follow;
  follow.timeout = session.given_timeout();
  return FollowRun(session, **client, response->run().id(), follow);
}

}  // namespace

void AddStartRun(CLI::App& app, Session& session) {
  auto options = std::make_shared<StartRunOptions>();
  CLI::App* command = app.add_subcommand("start-run", "Start a training run, or queue it");
  AddSpecArguments(command, &options->spec);
  command->add_option("--name", options->name, "A name for people")->type_name("TEXT");
  command->add_flag("--watch", options->watch, "Follow the run to its end");
  command->add_flag("--validate-only", options->validate_only,
                    "Check, print the effective spec, start nothing");
  command->footer(
      R"(The preset comes first; fields of --spec override it, then --data and --init,
then --set. Paths are the daemon's: absolute, unless vitd is on this machine.

  vitctl start-run --data folder:/data/pets --preset vit_small_patch16_224 \
      --set optimizer.learning_rate=3e-4 --set epochs=20 --watch
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return StartRun(session, *options); };
  });
}

}  // namespace vit
