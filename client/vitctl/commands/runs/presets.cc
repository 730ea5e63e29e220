#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

// Returns a comment on what the user must provide.
std::string Needs(const std::string& field, const std::string& what) {
  return what.empty() ? "" : absl::StrCat("# ", field, ": ", what, "\n");
}

int ShowPresets(Session& session, const std::string& name, int batch_size) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::ListPresetsRequest request;
  request.set_name(name);
  request.set_batch_size(batch_size);
  auto response = (*client)->ListPresets(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  const std::string batch_text =
      batch_size == 0 ? "" : absl::StrCat(" with batches of ", FormatCount(batch_size));
  if (!name.empty()) {
    // A file that --spec reads.
    for (const vit::v1::Preset& preset : response->presets()) {
      const int classes = preset.spec().model().num_classes();
      session.out() << "# " << preset.name() << ": " << preset.description() << "\n# "
                    << FormatLarge(preset.parameter_count()) << " parameters with "
                    << FormatCount(classes > 0 ? classes : 1000) << " classes, "
                    << FormatLarge(static_cast<int64_t>(preset.forward_flops()))
                    << "FLOP per image, about " << FormatBytes(preset.training_memory_bytes())
                    << " to train" << batch_text << "\n"
                    << Needs("init", preset.needs_init()) << Needs("data", preset.needs_data())
                    << MessageToText(preset.spec());
    }
    return kExitOk;
  }
  using Align = Table::Align;
  Table table({{"PRESET"},
               {"PARAMETERS", Align::kRight},
               {"FLOP/IMAGE", Align::kRight, 2},
               {"MEMORY", Align::kRight, 3},
               {"DATA", Align::kLeft, 1},
               {"DESCRIPTION", Align::kLeft, 0, 12}});
  for (const vit::v1::Preset& preset : response->presets()) {
    table.AddRow({Table::Cell(preset.name(), Style::kBold), FormatLarge(preset.parameter_count()),
                  FormatLarge(static_cast<int64_t>(preset.forward_flops())),
                  FormatBytes(preset.training_memory_bytes()),
                  Printable(preset.spec().data().source()), Printable(preset.description())});
  }
  const Terminal& terminal = session.terminal();
  session.out() << table.Render(terminal.columns(), terminal.color, terminal.utf8);
  return kExitOk;
}

}  // namespace

void AddPresets(CLI::App& app, Session& session) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("presets", "List presets, or print what one sets");
  command->add_option("NAME", *name, "Print this one, as a file for --spec")->type_name("PRESET");
  auto batch_size = std::make_shared<int>(0);
  command->add_option("--batch-size", *batch_size, "For the memory (default: the preset's)")
      ->type_name("N")
      ->check(CLI::Range(1, 1 << 20).description(""));
  command->callback([&session, name, batch_size] {
    session.action = [&session, name, batch_size] {
      return ShowPresets(session, *name, *batch_size);
    };
  });
}

}  // namespace vit
