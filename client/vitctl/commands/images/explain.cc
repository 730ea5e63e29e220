#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/files.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

struct ExplainOptions {
  std::string file;
  std::string model;
  std::string output;
  int block = -1;
};

int Explain(Session& session, const ExplainOptions& options) {
  vit::v1::ExplainRequest request;
  auto bytes = ReadImage(options.file, *session.io().in);
  if (!bytes.ok()) {
    return session.Fail(absl::Status(bytes.status().code(),
                                     absl::StrCat(options.file, ": ", bytes.status().message())));
  }
  request.mutable_image()->swap(*bytes);
  request.set_model(options.model);
  if (options.block >= 0) request.set_block(options.block);
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  const auto response = (*client)->Explain(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    if (options.output.empty()) return kExitOk;
  }
  std::string output = options.output;
  if (output.empty()) {
    output = options.file == "-"
                 ? "attention.png"
                 : std::filesystem::path(options.file).stem().string() + "_attention.png";
  }
  const absl::Status written = WriteOutput(output, response->heat_map());
  if (!written.ok()) return session.Fail(written);
  if (session.json()) return kExitOk;
  session.out() << "wrote " << output << "\n";
  if (response->classes_size() > 0) {
    const vit::v1::ClassScore& best = response->classes(0);
    session.out() << (best.label().empty() ? absl::StrCat("class ", best.index())
                                           : Printable(best.label()))
                  << " " << FormatPercent(best.probability()) << ", by "
                  << IdentityText(response->model()) << "\n";
  }
  return kExitOk;
}

}  // namespace

void AddExplain(CLI::App& app, Session& session) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand("explain", "Show where a model looks in an image");
  command->add_option("FILE", options->file, "An image; - is standard input")
      ->type_name("PATH")
      ->required();
  command->add_option("-o,--out", options->output, "The PNG to write (default: FILE_attention.png)")
      ->type_name("FILE");
  command->add_option("--model", options->model, "NAME, NAME@VERSION, run:ID or latest (default)")
      ->type_name("MODEL");
  command
      ->add_option("--block", options->block, "One block's attention, from 0, instead of rollout")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber.description(""));
  command->footer(
      R"(The PNG is the image as the model saw it under a heat map of attention
rollout over all blocks. With --output json the numbers are printed too:
relevance of every patch, and with --block the weights of every head.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Explain(session, *options); };
  });
}

}  // namespace vit
