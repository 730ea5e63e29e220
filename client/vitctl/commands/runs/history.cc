#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"

namespace vit {
namespace {

using ::vit::v1::MetricPoint;

struct HistoryOptions {
  std::string run;
  std::string split;
  int64_t after_step = 0;
  int max_points = 0;
  bool csv = false;
};

std::string EvaluationCsv(const MetricPoint& point) {
  if (!point.has_evaluation()) return ",,,,,,";
  const vit::v1::EvaluationMetrics& e = point.evaluation();
  return absl::StrFormat("%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g", e.top_k_accuracy(), e.precision(),
                         e.recall(), e.f1(), e.precision_weighted(), e.f1_weighted(),
                         e.calibration_error());
}

// Full precision, for programs; empty if a split has no such value.
void PrintCsv(const Session& session, const vit::v1::GetHistoryResponse& response) {
  session.out() << "step,epoch,split,loss,accuracy,learning_rate,grad_norm,images_per_second,"
                   "top_k_accuracy,precision,recall,f1,precision_weighted,f1_weighted,"
                   "calibration_error,time,top_k\n";
  for (const MetricPoint& point : response.points()) {
    const bool train = point.split() == vit::v1::SPLIT_TRAIN;
    session.out() << absl::StrFormat(
        "%d,%.9g,%s,%.9g,%.9g,%.9g,%s,%s,%s,%s,%s\n", point.step(), point.epoch(),
        SplitName(point.split()), point.loss(), point.accuracy(), point.learning_rate(),
        train ? absl::StrFormat("%.9g", point.grad_norm()) : "",
        train ? absl::StrFormat("%.9g", point.images_per_second()) : "", EvaluationCsv(point),
        absl::FormatTime(absl::RFC3339_full, FromProto(point.time()), absl::UTCTimeZone()),
        point.evaluation().top_k() > 0 ? absl::StrCat(point.evaluation().top_k()) : "");
  }
}

// Returns the k that all evaluations share; 0 if they differ or do not give it.
int SharedTopK(const vit::v1::GetHistoryResponse& response) {
  int shared = 0;
  for (const MetricPoint& point : response.points()) {
    if (!point.has_evaluation()) continue;
    const int k = point.evaluation().top_k();
    if (k == 0 || (shared > 0 && k != shared)) return 0;
    shared = k;
  }
  return shared;
}

void PrintTable(const Session& session, const vit::v1::GetHistoryResponse& response) {
  using Align = Table::Align;
  const int shared_k = SharedTopK(response);
  const auto top_k = [&](const vit::v1::EvaluationMetrics& e) {
    const std::string percent = FormatPercent(e.top_k_accuracy());
    return shared_k > 0 || e.top_k() == 0 ? percent : absl::StrCat(percent, " (", e.top_k(), ")");
  };
  Table table({{"STEP", Align::kRight},
               {"EPOCH", Align::kRight, 1},
               {"SPLIT"},
               {"LOSS", Align::kRight},
               {"ACCURACY", Align::kRight},
               {"LR", Align::kRight, 2},
               {"GRAD NORM", Align::kRight, 3},
               {"IMAGES/S", Align::kRight, 4},
               {"TIME", Align::kLeft, 5},
               {absl::AsciiStrToUpper(TopKName(shared_k)), Align::kRight, 6},
               {"F1", Align::kRight, 7},
               {"RECALL", Align::kRight, 8},
               {"CALIB ERR", Align::kRight, 9}});
  for (const MetricPoint& point : response.points()) {
    const bool train = point.split() == vit::v1::SPLIT_TRAIN;
    const Style style = train ? Style::kPlain : Style::kGreen;
    const vit::v1::EvaluationMetrics& e = point.evaluation();
    const auto evaluated = [&](double ratio) {
      return point.has_evaluation() ? FormatPercent(ratio) : "";
    };
    table.AddRow({FormatCount(point.step()), FormatEpoch(point.epoch()),
                  Table::Cell(SplitName(point.split()), style), FormatLoss(point.loss()),
                  Table::Cell(FormatPercent(point.accuracy()), style),
                  FormatRate(point.learning_rate()), train ? FormatLoss(point.grad_norm()) : "",
                  train ? FormatSpeed(point.images_per_second()) : "",
                  FormatDateTime(FromProto(point.time())), point.has_evaluation() ? top_k(e) : "",
                  evaluated(e.f1()), evaluated(e.recall()), evaluated(e.calibration_error())});
  }
  const Terminal& terminal = session.terminal();
  session.out() << table.Render(terminal.columns(), terminal.color, terminal.utf8);
}

int ShowHistory(Session& session, const HistoryOptions& options) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::GetHistoryRequest request;
  request.set_run(options.run);
  if (options.split == "train") request.set_split(vit::v1::SPLIT_TRAIN);
  if (options.split == "validation") request.set_split(vit::v1::SPLIT_VALIDATION);
  request.set_after_step(options.after_step);
  request.set_max_points(options.max_points);
  auto response = (*client)->GetHistory(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
  } else if (options.csv || session.output == "csv") {
    PrintCsv(session, *response);
  } else if (response->points().empty()) {
    session.err() << "run " << RunTitle(response->run()) << " has no matching points yet"
                  << std::endl;
  } else {
    PrintTable(session, *response);
  }
  return kExitOk;
}

}  // namespace

void AddHistory(CLI::App& app, Session& session) {
  auto options = std::make_shared<HistoryOptions>();
  CLI::App* command =
      app.add_subcommand("history", "Show a run's loss, accuracy and learning rate");
  command->add_option("RUN", options->run, "Id, its start, or name; default: the latest")
      ->type_name("RUN");
  command->add_option("--split", options->split, "train or validation; both if left out")
      ->type_name("SPLIT")
      ->check(CLI::IsMember({"train", "validation"}).description(""));
  command->add_option("--after-step", options->after_step, "Only points after this step")
      ->type_name("STEP")
      ->check(CLI::Validator(CLI::NonNegativeNumber).description(""));
  command->add_option("--max-points", options->max_points, "At most this many, evenly thinned")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000).description(""));
  command->add_flag("--csv", options->csv, "Comma-separated values, in full, as -o csv");
  command->callback([&session, options] {
    session.action = [&session, options] { return ShowHistory(session, *options); };
  });
}

}  // namespace vit
