#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/files.h"
#include "client/vitctl/images/classifier.h"
#include "client/vitctl/images/classify_output.h"
#include "client/vitctl/images/image_paths.h"
#include "client/vitctl/images/priority_option.h"
#include "client/vitctl/view/count_progress.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

struct ClassifyOptions {
  std::vector<std::string> arguments;
  std::string files_from;
  std::string model;
  int top_k = 5;
  int concurrency = Classifier::Options().concurrency;
  std::string priority;
};

absl::StatusOr<std::vector<ImagePath>> FindFiles(const ClassifyOptions& options, std::istream& in) {
  if (options.arguments.empty() && options.files_from.empty()) {
    return absl::InvalidArgumentError(
        "no images given; name files, folders or patterns, or a list with --files-from; see vitctl "
        "classify --help");
  }
  const auto uses = std::count(options.arguments.begin(), options.arguments.end(), "-") +
                    (options.files_from == "-" ? 1 : 0);
  if (uses > 1) {
    return absl::InvalidArgumentError("- is given twice; standard input can be read only once");
  }
  std::vector<ImagePath> files = FindImages(options.arguments);
  if (!options.files_from.empty()) {
    const auto names = ReadFileList(options.files_from, in);
    if (!names.ok()) return names.status();
    std::vector<ImagePath> listed = FindListedImages(*names);
    std::move(listed.begin(), listed.end(), std::back_inserter(files));
  }
  return files;
}

// Counts what happened while the results go on to the output.
struct Summary {
  int64_t files = 0;
  absl::Status first_error;  // of a file
};

int Classify(Session& session, const ClassifyOptions& options) {
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  const auto files = FindFiles(options, *session.io().in);
  if (!files.ok()) return session.Fail(files.status());
  // Read before Ctrl-C is caught, so that it ends a wait for input.
  absl::StatusOr<std::string> standard_input = std::string();
  if (std::find(options.arguments.begin(), options.arguments.end(), "-") !=
      options.arguments.end()) {
    standard_input = ReadImage("-", *session.io().in);
  }
  const std::stop_token interrupt =
      session.io().catch_interrupt ? session.io().catch_interrupt() : std::stop_token();

  Classifier::Options how;
  how.model = options.model;
  how.top_k = options.top_k;
  how.priority = PriorityOf(options.priority);
  how.concurrency = options.concurrency;
  const std::unique_ptr<ClassifyOutput> output = MakeClassifyOutput(session);
  const auto total = static_cast<int64_t>(files->size());
  CountProgress progress(
      session, total, "images",
      total > how.images_per_request && !(output->streams() && session.terminal().out_is_tty));
  Summary summary;
  const Classifier::Outcome outcome =
      Classifier(**client, how).Run(*files, standard_input, interrupt, [&](FileResult result) {
        if (result.answered && summary.first_error.ok()) summary.first_error = result.status;
        progress.Show(++summary.files);
        return output->Add(std::move(result));
      });
  progress.Clear();
  if (summary.files > 0) output->Finish();
  // RunVitctl reports it.
  if (!session.out()) return kExitOk;
  if (summary.files > 0 && !outcome.ended.ok()) {
    session.Note(absl::StrCat(outcome.unanswered, " of ", total, " images have no answer"));
  }
  if (absl::IsCancelled(outcome.ended) && interrupt.stop_requested()) return kExitInterrupted;
  if (!outcome.ended.ok()) return session.Fail(outcome.ended);
  // For one file, its own code says what happened; for several, that some failed.
  if (summary.first_error.ok()) return kExitOk;
  return total == 1 ? ExitCodeOf(summary.first_error) : kExitFailure;
}

}  // namespace

void AddClassify(CLI::App& app, Session& session) {
  auto options = std::make_shared<ClassifyOptions>();
  CLI::App* command = app.add_subcommand("classify", "Classify images");
  command->add_option("FILE", options->arguments, "Images, folders, '*.jpg'; - is standard input")
      ->type_name("PATH");
  command
      ->add_option("--files-from", options->files_from,
                   "A list, a path on each line; - is standard input")
      ->type_name("FILE");
  command->add_option("--model", options->model, "NAME, NAME@VERSION, run:ID or latest (default)")
      ->type_name("MODEL");
  command->add_option("--top-k", options->top_k, "Classes to show for each image")
      ->type_name("K")
      ->check(CLI::Range(1, 1000000).description(""))
      ->capture_default_str();
  AddPriorityOption(command, &options->priority);
  command->add_option("--concurrency", options->concurrency, "Requests in flight at once")
      ->type_name("N")
      ->check(CLI::Range(1, 256).description(""))
      ->capture_default_str();
  command->footer(
      R"(Answers come in the order of the files; -o csv and -o jsonl print them as they
arrive. An image that cannot be read is reported, and the others are still
answered; the exit code is then 1.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Classify(session, *options); };
  });
}

}  // namespace vit
