#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "client/vitctl/commands/commands.h"
#include "client/vitctl/files.h"
#include "client/vitctl/spec_arguments.h"

namespace vit {
namespace {

struct PreviewOptions {
  SpecArguments spec;
  std::string output = "preview.png";
  int64_t step = 0;
  int count = 0;
  int columns = 0;
};

int Preview(Session& session, const PreviewOptions& options) {
  auto spec = ReadSpec(session, options.spec);
  if (!spec.ok()) return session.Fail(spec.status());
  vit::v1::PreviewDataRequest request;
  request.mutable_spec()->Swap(&*spec);
  request.set_preset(options.spec.preset);
  request.set_step(options.step);
  request.set_count(options.count);
  request.set_columns(options.columns);
  auto client = session.Client(absl::Minutes(2));  // lists the data set
  if (!client.ok()) return session.Fail(client.status());
  const auto response = (*client)->PreviewData(request);
  if (!response.ok()) return session.Fail(response.status());
  const absl::Status written = WriteOutput(options.output, response->png());
  if (!written.ok()) return session.Fail(written);
  session.err() << "wrote " << options.output << std::endl;
  return kExitOk;
}

}  // namespace

void AddPreviewData(CLI::App& app, Session& session) {
  auto options = std::make_shared<PreviewOptions>();
  CLI::App* command =
      app.add_subcommand("preview-data", "Draw the images that a run would train on");
  AddSpecArguments(command, &options->spec);
  command->add_option("-o,--out", options->output, "The PNG to write (default: preview.png)")
      ->type_name("FILE");
  command->add_option("--step", options->step, "The update to show, from 0")
      ->type_name("N")
      ->check(CLI::Validator(CLI::NonNegativeNumber).description(""));
  command->add_option("--count", options->count, "Images (default: 32)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024).description(""));
  command->add_option("--columns", options->columns, "Images in a row (default: 8)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024).description(""));
  command->footer(
      R"(Draws each image as the model would see it: cropped, augmented, erased and
mixed, with its label below it, or the labels of a mix with their shares. The
seed differs each time; --set seed=1 fixes it.

  vitctl preview-data --data folder:/data/pets --preset vit_small_patch16_224 \
      --set mixing.cutmix_alpha=1 -o pets.png
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Preview(session, *options); };
  });
}

}  // namespace vit
