#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

using ::vit::v1::Evaluation;

struct EvaluationOptions {
  std::string run;
  int64_t step = 0;
  bool confusion = false;
};

// Returns the class that images of class `label` are most confused with: "cat 12.0%".
std::string MostTakenFor(const Evaluation& evaluation, int label) {
  const int classes = evaluation.classes_size();
  if (evaluation.confusion_size() != classes * classes) return "";
  int most = -1;
  int64_t most_count = 0;
  for (int other = 0; other < classes; ++other) {
    const int64_t count = evaluation.confusion(label * classes + other);
    if (other == label || count <= most_count) continue;
    most = other;
    most_count = count;
  }
  if (most < 0) return "";
  const auto samples = static_cast<double>(evaluation.classes(label).samples());
  return absl::StrCat(Printable(evaluation.classes(most).name()), " ",
                      FormatPercent(static_cast<double>(most_count) / samples));
}

void PrintTable(const Session& session, const vit::v1::GetEvaluationResponse& response) {
  using Align = Table::Align;
  const Evaluation& evaluation = response.evaluation();
  Table table({{"CLASS"},
               {"SUPPORT", Align::kRight, 3},
               {"RECALL", Align::kRight},
               {"PRECISION", Align::kRight, 1},
               {"F1", Align::kRight},
               {"MOST CONFUSED WITH", Align::kLeft, 2}});
  for (int label = 0; label < evaluation.classes_size(); ++label) {
    const vit::v1::ClassMetrics& one = evaluation.classes(label);
    table.AddRow({Printable(one.name()), FormatCount(one.samples()), FormatPercent(one.recall()),
                  FormatPercent(one.precision()), FormatPercent(one.f1()),
                  MostTakenFor(evaluation, label)});
  }
  const vit::v1::EvaluationMetrics& means = evaluation.metrics();
  const Terminal& terminal = session.terminal();
  session.out() << absl::StrCat(
                       "run ", RunTitle(response.run()), ", step ", FormatCount(evaluation.step()),
                       ": loss ", FormatLoss(evaluation.loss()), "  accuracy ",
                       FormatPercent(evaluation.accuracy()), "\n", TopKName(means.top_k()), " ",
                       FormatPercent(means.top_k_accuracy()), "  calibration error ",
                       FormatPercent(means.calibration_error()), "\n", "means: recall ",
                       FormatPercent(means.recall()), "  precision ",
                       FormatPercent(means.precision()), "  F1 ", FormatPercent(means.f1()), "\n\n")
                << table.Render(terminal.columns(), terminal.color, terminal.utf8);
}

std::string CsvField(const std::string& text) {
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

// The matrix as comma-separated values: a line for each class, a column for each predicted class.
int PrintConfusion(Session& session, const Evaluation& evaluation) {
  const int classes = evaluation.classes_size();
  if (evaluation.confusion_size() != classes * classes) {
    session.err() << "vitctl: there is no confusion matrix of " << FormatCount(classes)
                  << " classes; it is kept for at most 1,000" << std::endl;
    return kExitFailure;
  }
  std::string text = "class";
  for (const auto& one : evaluation.classes()) absl::StrAppend(&text, ",", CsvField(one.name()));
  for (int label = 0; label < classes; ++label) {
    absl::StrAppend(&text, "\n", CsvField(evaluation.classes(label).name()));
    for (int other = 0; other < classes; ++other) {
      absl::StrAppend(&text, ",", evaluation.confusion(label * classes + other));
    }
  }
  session.out() << text << "\n";
  return kExitOk;
}

int ShowEvaluation(Session& session, const EvaluationOptions& options) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::GetEvaluationRequest request;
  request.set_run(options.run);
  request.set_step(options.step);
  auto response = (*client)->GetEvaluation(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  if (options.confusion) return PrintConfusion(session, response->evaluation());
  PrintTable(session, *response);
  return kExitOk;
}

}  // namespace

void AddEvaluation(CLI::App& app, Session& session) {
  auto options = std::make_shared<EvaluationOptions>();
  CLI::App* command =
      app.add_subcommand("evaluation", "Show a checkpoint's results for each class");
  command->add_option("RUN", options->run, "Id, its start, or name; default: the latest")
      ->type_name("RUN");
  command->add_option("--step", options->step, "The checkpoint's step; default: the best")
      ->type_name("STEP")
      ->check(CLI::Validator(CLI::PositiveNumber).description(""));
  command->add_flag("--confusion", options->confusion,
                    "The confusion matrix, as comma-separated values");
  command->callback([&session, options] {
    session.action = [&session, options] { return ShowEvaluation(session, *options); };
  });
}

}  // namespace vit
