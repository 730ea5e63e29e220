#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/view/run_text.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "proto/field_names.h"
#include "proto/time.h"

namespace vit {
namespace {

struct RunsOptions {
  std::vector<std::string> states;
  int limit = 20;
};

absl::StatusOr<vit::v1::RunState> ParseState(const std::string& text) {
  std::vector<std::string> known;
  const auto* type = vit::v1::RunState_descriptor();
  for (int i = 1; i < type->value_count(); ++i) {
    known.push_back(ShortEnumName(type->value(i)));
    if (absl::AsciiStrToLower(text) == known.back()) {
      return static_cast<vit::v1::RunState>(type->value(i)->number());
    }
  }
  const std::string nearest = NearestName(absl::AsciiStrToLower(text), known);
  return absl::InvalidArgumentError(
      absl::StrCat("--state ", text, ": no such state",
                   nearest.empty() ? absl::StrCat("; one of ", absl::StrJoin(known, ", "))
                                   : absl::StrCat("; did you mean ", nearest, "?")));
}

Table RunsTable(const vit::v1::ListRunsResponse& response, absl::Time now) {
  using Align = Table::Align;
  Table table({{"RUN"},
               {"NAME", Align::kLeft, 0, 8},
               {"STATE"},
               {"DONE", Align::kRight},
               {"EPOCH", Align::kRight, 5},
               {"LOSS", Align::kRight, 4},
               {"VAL ACC", Align::kRight, 2},
               {"BEST", Align::kRight, 3},
               {"TIME", Align::kRight, 6},
               {"LEFT", Align::kRight, 7},
               {"CREATED", Align::kLeft, 1},
               {"PRESET", Align::kLeft, 8, 12},
               {"DATA", Align::kLeft, 9, 12}});
  for (const vit::v1::Run& run : response.runs()) {
    const auto elapsed = Elapsed(run, now);
    table.AddRow(
        {Table::Cell(run.id(), Style::kBold), Printable(run.name()),
         Table::Cell(StateName(run.state()), StateStyle(run.state())),
         absl::StrCat(static_cast<int>(ProgressRatio(run) * 100), "%"),
         run.total_epochs() > 0
             ? absl::StrCat(FormatEpoch(run.epoch()), "/", FormatEpoch(run.total_epochs()))
             : "",
         run.has_last_train() ? FormatLoss(run.last_train().loss()) : "",
         run.has_last_validation() ? FormatPercent(run.last_validation().accuracy()) : "",
         run.best_checkpoint().has_accuracy() ? FormatPercent(run.best_checkpoint().accuracy())
                                              : "",
         elapsed ? FormatSeconds(*elapsed) : "",
         run.has_time_left() && !IsFinal(run.state()) ? FormatSeconds(FromProto(run.time_left()))
                                                      : "",
         run.has_create_time() ? FormatAgo(now - FromProto(run.create_time())) : "",
         Printable(run.preset()), Printable(run.data_source())});
  }
  return table;
}

// Requests page after page until it has `limit` runs.
absl::StatusOr<vit::v1::ListRunsResponse> ListUpTo(VitClient& client,
                                                   vit::v1::ListRunsRequest request, int limit) {
  vit::v1::ListRunsResponse all;
  for (;;) {
    request.set_page_size(std::min(limit - all.runs_size(), 1000));
    auto page = client.ListRuns(request);
    if (!page.ok()) return page;
    all.mutable_runs()->MergeFrom(page->runs());
    all.set_next_page_token(page->next_page_token());
    if (page->next_page_token().empty() || page->runs().empty() || all.runs_size() >= limit) {
      return all;
    }
    request.set_page_token(page->next_page_token());
  }
}

int ListRuns(Session& session, const RunsOptions& options) {
  vit::v1::ListRunsRequest request;
  for (const std::string& text : options.states) {
    const auto state = ParseState(text);
    if (!state.ok()) return session.Fail(state.status());
    request.add_states(*state);
  }
  auto client = session.Client();
  if (!client.ok()) return session.Fail(client.status());
  auto response = ListUpTo(**client, request, options.limit);
  if (!response.ok()) return session.Fail(response.status());
  if (session.json()) {
    session.PrintJson(*response);
    return kExitOk;
  }
  const Terminal& terminal = session.terminal();
  if (response->runs().empty()) {
    session.err() << (options.states.empty()
                          ? absl::StrCat("no runs yet; start one with: ",
                                         session.CommandLine(
                                             "start-run --data shapes: --preset shapes_demo"))
                          : "no runs in that state")
                  << std::endl;
    return kExitOk;
  }
  session.out() << RunsTable(*response, absl::Now())
                       .Render(terminal.columns(), terminal.color, terminal.utf8);
  if (!response->next_page_token().empty()) {
    session.err() << "there are more; see them with --limit" << std::endl;
  }
  return kExitOk;
}

}  // namespace

void AddRuns(CLI::App& app, Session& session) {
  auto options = std::make_shared<RunsOptions>();
  CLI::App* command = app.add_subcommand("runs", "List runs, newest first");
  command->add_option("--state", options->states, "Only runs in this state; may be repeated")
      ->type_name("STATE")
      ->allow_extra_args(false);
  command->add_option("--limit", options->limit, "At most this many")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000).description(""))
      ->capture_default_str();
  command->callback([&session, options] {
    session.action = [&session, options] { return ListRuns(session, *options); };
  });
}

}  // namespace vit
