#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"

namespace vit {
namespace {

using Fields = std::vector<std::pair<std::string, Table::Cell>>;

void AddPoint(const std::string& label, const vit::v1::MetricPoint& point, Fields* fields) {
  std::string text = absl::StrCat("loss ", FormatLoss(point.loss()), "  accuracy ",
                                  FormatPercent(point.accuracy()));
  if (point.split() == vit::v1::SPLIT_TRAIN) {
    absl::StrAppend(&text, "  lr ", FormatRate(point.learning_rate()));
  }
  fields->emplace_back(label, absl::StrCat(text, "  at step ", FormatCount(point.step())));
  if (!point.has_evaluation()) return;
  const vit::v1::EvaluationMetrics& e = point.evaluation();
  fields->emplace_back(
      "", absl::StrCat(TopKName(e.top_k()), " ", FormatPercent(e.top_k_accuracy()), "  F1 ",
                       FormatPercent(e.f1()), "  recall ", FormatPercent(e.recall()),
                       "  calibration error ", FormatPercent(e.calibration_error())));
}

std::string CheckpointList(const vit::v1::StatusResponse& response) {
  std::string text;
  for (const vit::v1::CheckpointInfo& checkpoint : response.checkpoints()) {
    absl::StrAppend(&text, text.empty() ? "step " : ", ", FormatCount(checkpoint.step()),
                    checkpoint.best() ? " (best)" : "");
  }
  return text;
}

Fields Describe(const vit::v1::StatusResponse& response, absl::Time now) {
  const vit::v1::Run& run = response.run();
  Fields fields;
  fields.emplace_back("run", Table::Cell(RunTitle(run), Style::kBold));
  const std::string phase = PhaseText(run);
  fields.emplace_back(
      "state", Table::Cell(absl::StrCat(StateName(run.state()), phase.empty() ? "" : ", ", phase),
                           StateStyle(run.state())));
  if (!run.message().empty()) {
    fields.emplace_back("message", Table::Cell(Printable(run.message()), StateStyle(run.state())));
  }
  if (run.total_steps() > 0) {
    fields.emplace_back(
        "progress",
        absl::StrCat(static_cast<int>(ProgressRatio(run) * 100), "%, step ",
                     FormatCount(run.step()), " of ", FormatCount(run.total_steps()), ", epoch ",
                     FormatEpoch(run.epoch()), " of ", FormatEpoch(run.total_epochs())));
  }
  if (run.has_last_train()) AddPoint("train", run.last_train(), &fields);
  if (run.has_last_validation()) AddPoint("validation", run.last_validation(), &fields);
  if (run.state() == vit::v1::RUN_STATE_RUNNING && run.images_per_second() > 0) {
    fields.emplace_back(
        "speed",
        absl::StrCat(FormatSpeed(run.images_per_second()), " images/s",
                     run.has_time_left()
                         ? absl::StrCat(", ", FormatSeconds(FromProto(run.time_left())), " left")
                         : ""));
  }
  if (const std::string best = BestText(run); !best.empty()) {
    fields.emplace_back("best", Table::Cell(best, Style::kGreen));
  }
  if (const std::string list = CheckpointList(response); !list.empty()) {
    fields.emplace_back("checkpoints", list);
  }
  if (const std::string bad = BadImagesText(run); !bad.empty()) {
    fields.emplace_back("bad images", Table::Cell(bad, Style::kYellow));
    for (const std::string& image : run.first_bad_images()) {
      fields.emplace_back("", Printable(image));
    }
  }
  std::string model = run.preset().empty() ? "" : absl::StrCat(Printable(run.preset()), ", ");
  absl::StrAppend(&model, FormatLarge(run.parameter_count()), " parameters, ", run.class_count(),
                  " classes");
  fields.emplace_back("model", model);
  fields.emplace_back("data", Printable(run.data_source()));
  for (const std::string& note : run.data_notes()) fields.emplace_back("", Printable(note));
  if (run.has_create_time()) {
    const absl::Time created = FromProto(run.create_time());
    fields.emplace_back("created",
                        absl::StrCat(FormatDateTime(created), ", ", FormatAgo(now - created)));
  }
  if (const auto elapsed = Elapsed(run, now)) {
    fields.emplace_back("elapsed", FormatSeconds(*elapsed));
  }
  return fields;
}

int ShowStatus(Session& session, const std::string& run) {
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  vit::v1::StatusRequest request;
  request.set_run(run);
  auto response = (*client)->Status(request);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  const Terminal& terminal = session.terminal();
  session.out() << RenderFields(Describe(*response, absl::Now()), terminal.columns(),
                                terminal.color, terminal.utf8);
  return kExitOk;
}

}  // namespace

void AddStatus(CLI::App& app, Session& session) {
  auto run = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("status", "Show a run as it is now");
  command->add_option("RUN", *run, "Id, its start, or name; default: the latest")->type_name("RUN");
  command->callback(
      [&session, run] { session.action = [&session, run] { return ShowStatus(session, *run); }; });
}

}  // namespace vit
