#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/spec_options.h"
#include "client/vitctl/view/text.h"
#include "vit/v1/datasets.pb.h"

namespace vit {
namespace {

struct PackDataOptions {
  std::string source;
  std::string file;
  int max_side = 0;
  int quality = 0;
};

absl::StatusOr<vit::v1::PackDataRequest> ToRequest(const Session& session,
                                                   const PackDataOptions& options) {
  // Both paths are the daemon's, as a run's are.
  vit::v1::TrainingSpec paths;
  paths.mutable_data()->set_source(options.source);
  paths.set_init(options.file);
  const char* home = std::getenv("HOME");
  std::error_code error;
  const absl::Status resolved =
      ResolvePaths(IsLoopback(session.server), std::filesystem::current_path(error),
                   home == nullptr ? "" : home, &paths);
  if (!resolved.ok()) return resolved;
  vit::v1::PackDataRequest request;
  request.mutable_data()->set_source(paths.data().source());
  request.set_path(paths.init());
  if (options.max_side > 0) request.set_max_side(options.max_side);
  if (options.quality > 0) request.set_jpeg_quality(options.quality);
  return request;
}

std::string ProgressText(const vit::v1::PackDataResponse& progress) {
  return absl::StrCat(FormatCount(progress.samples()), " of ",
                      FormatCount(progress.total_samples()), " images, ",
                      FormatBytes(progress.size_bytes()));
}

int PackData(Session& session, const PackDataOptions& options) {
  const auto request = ToRequest(session, options);
  if (!request.ok()) return session.Fail(request.status());
  // This may take hours, and reports its progress.
  auto client = session.Client(absl::InfiniteDuration());
  if (!client.ok()) return session.Fail(client.status());
  const bool live = session.terminal().err_is_tty && !session.json();
  vit::v1::PackDataResponse last;
  const absl::Status status =
      (*client)->PackData(*request, [&](const vit::v1::PackDataResponse& progress) {
        last = progress;
        if (live) session.err() << "\r" << ProgressText(progress) << "\x1B[K" << std::flush;
      });
  if (live) session.err() << "\r\x1B[K" << std::flush;
  if (!status.ok()) return session.Fail(status);
  if (session.json()) {
    session.PrintJson(last);
    return kExitOk;
  }
  session.out() << "packed " << FormatCount(last.samples()) << " images into " << request->path()
                << ": " << FormatBytes(last.size_bytes()) << "\n";
  if (last.resumed_from() > 0) {
    session.out() << "continued from " << FormatCount(last.resumed_from())
                  << " images that an earlier attempt had packed\n";
  }
  if (last.unreadable() > 0) {
    session.out() << FormatCount(last.unreadable()) << " could not be read:\n";
    for (const std::string& name : last.first_unreadable()) {
      session.out() << "  " << Printable(name) << "\n";
    }
  }
  session.out() << "train on it with: "
                << session.CommandLine(absl::StrCat("start-run --data packed:", request->path()))
                << "\n";
  return kExitOk;
}

}  // namespace

void AddPackData(CLI::App& app, Session& session) {
  auto options = std::make_shared<PackDataOptions>();
  CLI::App* command = app.add_subcommand("pack-data", "Write all images of a source into a file");
  command->add_option("SOURCE", options->source, "folder:PATH, csv:PATH, wds:PATH, ...")
      ->type_name("SOURCE")
      ->required();
  command->add_option("-o,--out", options->file, "The file to make, under a data root of vitd")
      ->type_name("FILE")
      ->required();
  command
      ->add_option("--max-side", options->max_side,
                   "Resize images whose longer side has more pixels")
      ->type_name("PIXELS");
  command->add_option("--quality", options->quality, "JPEG quality of those, 1 to 100 (default 95)")
      ->type_name("N");
  command->footer(
      R"(A run reads the file in place of the source: --data packed:FILE. If the
command is stopped or killed, run it again to continue where it was.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return PackData(session, *options); };
  });
}

}  // namespace vit
