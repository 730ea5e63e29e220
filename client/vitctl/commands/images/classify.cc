#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/files.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/progress_view.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

// The maximum bytes of one request, unless a single image is larger: far below the message limit,
// and small enough that answers come as the files are read.
constexpr size_t kBatchBytes = 16 << 20;
constexpr int kBatchImages = 64;

struct ClassifyOptions {
  std::vector<std::string> files;
  std::string model;
  int top_k = 5;
};

// The answer for one file: classes, or the file's own error. Without an answer, the status is why
// everything ended early.
struct FileResult {
  std::string file;
  bool answered = false;
  absl::Status status;
  std::vector<vit::v1::ClassScore> classes;
  vit::v1::ModelIdentity model;
};

// Gathers images into requests and collects the answers in the order of the files.
class Classifier {
 public:
  Classifier(VitClient& client, const ClassifyOptions& options)
      : client_(client), options_(options) {
    for (const std::string& file : options_.files) results_.push_back({.file = file});
    Reset();
  }

  // Only an error that does not concern a single file, such as a lost server, ends this early;
  // files without an answer then have it as their status.
  absl::Status Run(std::istream& in) {
    absl::Status status = SendAll(in);
    for (FileResult& result : results_) {
      if (!result.answered) result.status = status;
    }
    return status;
  }

  const std::vector<FileResult>& results() const { return results_; }

 private:
  absl::Status SendAll(std::istream& in) {
    for (size_t i = 0; i < results_.size(); ++i) {
      auto bytes = ReadImage(results_[i].file, in);
      if (!bytes.ok()) {
        Answer(i, bytes.status());
        continue;
      }
      if (request_.images_size() > 0 &&
          (bytes_ + bytes->size() > kBatchBytes || request_.images_size() >= kBatchImages)) {
        if (absl::Status status = Send(); !status.ok()) return status;
      }
      bytes_ += bytes->size();
      request_.add_images()->swap(*bytes);
      places_.push_back(i);
    }
    return request_.images_size() > 0 ? Send() : absl::OkStatus();
  }

  FileResult& Answer(size_t place, absl::Status status) {
    results_[place].answered = true;
    results_[place].status = std::move(status);
    return results_[place];
  }

  void Reset() {
    request_.Clear();
    request_.set_model(options_.model);
    request_.set_top_k(options_.top_k);
    places_.clear();
    bytes_ = 0;
  }

  absl::Status Send() {
    auto response = client_.Classify(request_);
    if (!response.ok()) {
      // With a single image in the request, the server returns its error as the call's.
      const bool own =
          request_.images_size() == 1 && (absl::IsInvalidArgument(response.status()) ||
                                          absl::IsResourceExhausted(response.status()));
      if (!own) return response.status();
      Answer(places_[0], response.status());
      Reset();
      return absl::OkStatus();
    }
    if (response->results_size() != request_.images_size()) {
      return absl::InternalError(absl::StrCat("the server answered ", response->results_size(),
                                              " of ", request_.images_size(), " images"));
    }
    for (int i = 0; i < response->results_size(); ++i) {
      const vit::v1::ImageResult& answer = response->results(i);
      FileResult& result = Answer(
          places_[i], absl::Status(static_cast<absl::StatusCode>(answer.code()), answer.error()));
      result.classes.assign(answer.classes().begin(), answer.classes().end());
      result.model = response->model();
    }
    Reset();
    return absl::OkStatus();
  }

  VitClient& client_;
  const ClassifyOptions& options_;
  vit::v1::ClassifyRequest request_;
  std::vector<size_t> places_;  // in results_, for each image of request_
  size_t bytes_ = 0;
  std::vector<FileResult> results_;
};

void PrintJson(const Session& session, const std::vector<FileResult>& results) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const FileResult& result : results) {
    nlohmann::ordered_json entry = {{"file", result.file}};
    if (result.status.ok()) {
      entry["classes"] = nlohmann::ordered_json::array();
      for (const vit::v1::ClassScore& score : result.classes) {
        entry["classes"].push_back({{"index", score.index()},
                                    {"label", score.label()},
                                    {"probability", score.probability()}});
      }
      entry["model"] = {{"model", result.model.model()},
                        {"run", result.model.run()},
                        {"step", result.model.step()},
                        {"version", result.model.version()}};
    } else {
      entry["error"] = {{"code", absl::StatusCodeToString(result.status.code())},
                        {"message", std::string(result.status.message())}};
    }
    all.push_back(std::move(entry));
  }
  const nlohmann::ordered_json document = {{"results", std::move(all)}};
  session.out() << document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void PrintTable(const Session& session, const std::vector<FileResult>& results) {
  const Terminal& terminal = session.terminal();
  using Align = Table::Align;
  Table table({{"FILE", Align::kLeft, 0, 16, /*keep_end=*/true},
               {"CLASS", Align::kLeft, 0, 12},
               {"PROBABILITY", Align::kRight},
               {"", Align::kLeft, 1}});
  bool any = false;
  std::string model;
  for (const FileResult& result : results) {
    if (!result.status.ok()) continue;
    any = true;
    bool first = true;
    for (const vit::v1::ClassScore& score : result.classes) {
      const std::string label =
          score.label().empty() ? absl::StrCat("class ", score.index()) : Printable(score.label());
      table.AddRow(
          {first ? Printable(result.file) : "",
           Table::Cell(label, first ? Style::kBold : Style::kPlain),
           FormatPercent(score.probability()),
           terminal.out_is_tty
               ? Table::Cell(ProgressBar(score.probability(), 20, terminal.utf8), Style::kCyan)
               : Table::Cell("")});
      first = false;
    }
    model = IdentityText(result.model);
  }
  if (!any) return;
  session.out() << table.Render(terminal.columns(), terminal.color, terminal.utf8) << std::flush;
  if (terminal.out_is_tty) {
    session.out() << Paint(absl::StrCat("by ", model), Style::kDim, terminal.color) << "\n";
  }
}

int Classify(Session& session, const ClassifyOptions& options) {
  auto client = session.Client(absl::Minutes(2));
  if (!client.ok()) return session.Fail(client.status());
  Classifier classifier(**client, options);
  const absl::Status ended = classifier.Run(*session.io().in);
  const std::vector<FileResult>& results = classifier.results();
  const auto unanswered = std::count_if(results.begin(), results.end(),
                                        [](const FileResult& result) { return !result.answered; });
  if (unanswered == std::ssize(results)) return session.Fail(ended);
  if (session.json()) {
    PrintJson(session, results);
  } else {
    PrintTable(session, results);
  }
  // For one file, its own code says what happened; for several, that some failed.
  int exit_code = kExitOk;
  for (const FileResult& result : results) {
    if (result.status.ok() || !result.answered) continue;
    exit_code = options.files.size() == 1 ? ExitCodeOf(result.status) : kExitFailure;
    if (!session.json()) {
      session.err() << "vitctl: " << Printable(result.file) << ": " << result.status.message()
                    << std::endl;
    }
  }
  if (ended.ok()) return exit_code;
  session.Note(absl::StrCat(unanswered, " of ", results.size(), " images have no answer"));
  return session.Fail(ended);
}

}  // namespace

void AddClassify(CLI::App& app, Session& session) {
  auto options = std::make_shared<ClassifyOptions>();
  CLI::App* command = app.add_subcommand("classify", "Classify images");
  command->add_option("FILE", options->files, "Images; - is standard input")
      ->type_name("PATH")
      ->required();
  command->add_option("--model", options->model, "NAME, NAME@VERSION, run:ID or latest (default)")
      ->type_name("MODEL");
  command->add_option("--top-k", options->top_k, "Classes to show for each image")
      ->type_name("K")
      ->check(CLI::Range(1, 1000000).description(""))
      ->capture_default_str();
  command->footer(
      R"(An image that cannot be read is reported, and the others are still answered;
the exit code is then 1.
)");
  command->callback([&session, options] {
    session.action = [&session, options] { return Classify(session, *options); };
  });
}

}  // namespace vit
