#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/spec_options.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"
#include "vit/v1/datasets.pb.h"

namespace vit {
namespace {

using ::vit::v1::DataReport;

struct InspectDataOptions {
  std::string source;
  std::vector<std::string> set;
};

absl::StatusOr<vit::v1::InspectDataRequest> ToRequest(const Session& session,
                                                      const InspectDataOptions& options) {
  auto spec = BuildSpec({.spec_file = "", .data = options.source, .init = "", .set = options.set},
                        *session.io().in);
  if (!spec.ok()) return spec.status();
  vit::v1::TrainingSpec others = *spec;
  others.clear_data();
  if (others.ByteSizeLong() > 0) {
    return absl::InvalidArgumentError("--set: inspect-data takes only fields of data");
  }
  const char* home = std::getenv("HOME");
  std::error_code error;
  const absl::Status resolved =
      ResolvePaths(IsLoopback(session.server), std::filesystem::current_path(error),
                   home == nullptr ? "" : home, &*spec);
  if (!resolved.ok()) return resolved;
  vit::v1::InspectDataRequest request;
  *request.mutable_data() = spec->data();
  return request;
}

std::string SizeText(const vit::v1::PictureSize& size) {
  return absl::StrCat(size.width(), "x", size.height());
}

std::string ChannelsText(const google::protobuf::RepeatedField<double>& values) {
  return absl::StrJoin(values, " ", [](std::string* out, double value) {
    absl::StrAppendFormat(out, "%.4f", value);
  });
}

// Formats `count`, in red unless it is 0.
Table::Cell Bad(int64_t count, absl::string_view what) {
  if (count == 0) return {"none"};
  return {absl::StrCat(FormatCount(count), what), Style::kRed};
}

void PrintSummary(const Session& session, const DataReport& report) {
  std::vector<std::pair<std::string, Table::Cell>> fields = {
      {"images", absl::StrCat(FormatCount(report.train_samples()), " training, ",
                              FormatCount(report.validation_samples()), " validation")},
      {"classes", FormatCount(report.classes_size())}};
  if (report.has_median()) {
    fields.push_back(
        {"sizes", absl::StrCat(SizeText(report.smallest()), " to ", SizeText(report.largest()),
                               ", median ", SizeText(report.median()))});
    fields.push_back({"mean", ChannelsText(report.mean())});
    fields.push_back({"std", ChannelsText(report.std())});
  }
  fields.push_back({"unreadable", Bad(report.unreadable_count(), "")});
  int64_t passed_over = 0;
  for (const vit::v1::PassedOverFiles& files : report.passed_over()) passed_over += files.count();
  fields.push_back({"passed over", passed_over == 0 ? "none" : FormatCount(passed_over)});
  fields.push_back({"duplicates", Bad(report.duplicates(), "")});
  fields.push_back({"look alike", Bad(report.near_duplicates(), "")});
  fields.push_back({"leaks", Bad(report.leaked(), " validation images are also in training")});
  fields.push_back(
      {"contradictions", Bad(report.contradictions(), " copies are in several classes")});
  const Terminal& terminal = session.terminal();
  session.out() << RenderFields(fields, terminal.columns(), terminal.color, terminal.utf8);
}

void PrintClasses(const Session& session, const DataReport& report) {
  using Align = Table::Align;
  Table table({{.title = "CLASS", .min_width = 12},
               {.title = "TRAINING", .align = Align::kRight},
               {.title = "VALIDATION", .align = Align::kRight}});
  for (const vit::v1::ClassReport& of_class : report.classes()) {
    table.AddRow({Printable(of_class.name()), FormatCount(of_class.train()),
                  FormatCount(of_class.validation())});
  }
  const Terminal& terminal = session.terminal();
  session.out() << "\n" << table.Render(terminal.columns(), terminal.color, terminal.utf8);
}

std::string GroupTitle(const vit::v1::DuplicateGroup& group) {
  return absl::StrCat(group.exact() ? "identical" : "look alike",
                      group.across_splits() ? ", in both splits" : "",
                      group.across_classes() ? ", in several classes" : "", ":");
}

void PrintFindings(const Session& session, const DataReport& report) {
  const Terminal& terminal = session.terminal();
  const auto line = [&](const std::string& text) {
    const std::string shown = Printable(text);
    session.out() << "  "
                  << (terminal.columns() == 0
                          ? shown
                          : EllipsizeStart(shown, terminal.columns() - 2, terminal.utf8))
                  << "\n";
  };
  if (report.notes_size() > 0) session.out() << "\nnotes:\n";
  for (const std::string& note : report.notes()) line(note);
  if (report.passed_over_size() > 0) session.out() << "\npassed over:\n";
  for (const vit::v1::PassedOverFiles& files : report.passed_over()) {
    line(
        absl::StrCat(FormatCount(files.count()), " ", files.kind(), ", such as ", files.example()));
  }
  if (report.unreadable_count() > 0) session.out() << "\nunreadable:\n";
  for (const vit::v1::UnreadablePicture& image : report.unreadable()) {
    line(absl::StrCat(image.name(), " (", image.reason(), ")"));
  }
  if (report.unreadable_count() > report.unreadable_size()) {
    line(absl::StrCat("and ", FormatCount(report.unreadable_count() - report.unreadable_size()),
                      " more"));
  }
  for (const vit::v1::DuplicateGroup& group : report.groups()) {
    session.out() << "\n" << GroupTitle(group) << "\n";
    for (const std::string& name : group.names()) line(name);
    if (group.size() > group.names_size()) {
      line(absl::StrCat("and ", FormatCount(group.size() - group.names_size()), " more"));
    }
  }
}

int InspectData(Session& session, const InspectDataOptions& options) {
  const auto request = ToRequest(session, options);
  if (!request.ok()) return session.Fail(request.status());
  // This reads every image, and reports its progress.
  auto client = session.Client(absl::InfiniteDuration());
  if (!client.ok()) return session.Fail(client.status());
  const bool live = session.terminal().err_is_tty && !session.json();
  const auto report =
      (*client)->InspectData(*request, [&](const vit::v1::InspectDataResponse& progress) {
        if (!live) return;
        session.err() << "\r" << FormatCount(progress.samples()) << " of "
                      << FormatCount(progress.total_samples()) << " images\x1B[K" << std::flush;
      });
  if (live) session.err() << "\r\x1B[K" << std::flush;
  if (!report.ok()) return session.Fail(report.status());
  if (session.json()) {
    session.PrintJson(*report);
    return kExitOk;
  }
  PrintSummary(session, *report);
  PrintClasses(session, *report);
  PrintFindings(session, *report);
  return kExitOk;
}

}  // namespace

void AddInspectData(CLI::App& app, Session& session) {
  auto options = std::make_shared<InspectDataOptions>();
  CLI::App* command =
      app.add_subcommand("inspect-data", "Read a source's images and report on them");
  command->add_option("SOURCE", options->source, "folder:PATH, csv:PATH, wds:PATH, ...")
      ->type_name("SOURCE")
      ->required();
  command->add_option("--set", options->set, "A field of data, as for start-run; may be repeated")
      ->type_name("FIELD=VALUE");
  command->footer(
      R"(Reports counts per class, sizes, mean and std, unreadable images, files passed
over, copies (identical or look-alike), and validation images that are also in
training.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return InspectData(session, *options); };
  });
}

}  // namespace vit
