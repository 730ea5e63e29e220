#include "client/vitctl/images/classify_output.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/vitctl/view/csv.h"
#include "client/vitctl/view/model_text.h"
#include "client/vitctl/view/progress_view.h"
#include "client/vitctl/view/table.h"
#include "client/vitctl/view/text.h"

namespace vit {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const FileResult& result) {
  Json entry = {{"file", result.file}};
  if (!result.status.ok()) {
    entry["error"] = {{"code", absl::StatusCodeToString(result.status.code())},
                      {"message", std::string(result.status.message())}};
    return entry;
  }
  entry["classes"] = Json::array();
  for (const vit::v1::ClassScore& score : result.classes) {
    entry["classes"].push_back(
        {{"index", score.index()}, {"label", score.label()}, {"probability", score.probability()}});
  }
  entry["model"] = {{"model", result.model.model()},
                    {"run", result.model.run()},
                    {"step", result.model.step()},
                    {"version", result.model.version()}};
  return entry;
}

// Names may be in any encoding; JSON is UTF-8.
std::string Text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

class JsonOutput final : public ClassifyOutput {
 public:
  explicit JsonOutput(const Session& session) : session_(session) {}
  bool Add(FileResult result) override {
    results_.push_back(ToJson(result));
    return true;
  }
  void Finish() override { session_.out() << Text({{"results", std::move(results_)}}, 1) << "\n"; }

 private:
  const Session& session_;
  Json results_ = Json::array();
};

// Every line is flushed by itself: a reader at the other end of a pipe gets it at once, and an end
// of the program never leaves half a line.
class JsonLinesOutput final : public ClassifyOutput {
 public:
  explicit JsonLinesOutput(const Session& session) : session_(session) {}
  bool Add(FileResult result) override {
    session_.out() << absl::StrCat(Text(ToJson(result), -1), "\n") << std::flush;
    return session_.out().good();
  }
  bool streams() const override { return true; }

 private:
  const Session& session_;
};

class CsvOutput final : public ClassifyOutput {
 public:
  explicit CsvOutput(const Session& session) : session_(session) {}
  bool Add(FileResult result) override {
    std::string lines = Header();
    if (!result.status.ok()) {
      absl::StrAppend(&lines, CsvLine({result.file, "", "", "", "",
                                       absl::StrCat(absl::StatusCodeToString(result.status.code()),
                                                    ": ", result.status.message())}));
    }
    int rank = 0;
    for (const vit::v1::ClassScore& score : result.classes) {
      absl::StrAppend(&lines,
                      CsvLine({result.file, absl::StrCat(++rank), absl::StrCat(score.index()),
                               score.label(), absl::StrFormat("%.9g", score.probability()), ""}));
    }
    session_.out() << lines << std::flush;
    return session_.out().good();
  }
  void Finish() override { session_.out() << Header() << std::flush; }
  bool streams() const override { return true; }

 private:
  // The first time.
  std::string Header() {
    if (std::exchange(has_header_, true)) return "";
    return CsvLine({"file", "rank", "index", "label", "probability", "error"});
  }

  const Session& session_;
  bool has_header_ = false;
};

class TableOutput final : public ClassifyOutput {
 public:
  explicit TableOutput(const Session& session) : session_(session) {}
  bool Add(FileResult result) override {
    results_.push_back(std::move(result));
    return true;
  }

  void Finish() override {
    const Terminal& terminal = session_.terminal();
    using Align = Table::Align;
    Table table({{"FILE", Align::kLeft, 0, 16, /*keep_end=*/true},
                 {"CLASS", Align::kLeft, 0, 12},
                 {"PROBABILITY", Align::kRight},
                 {"", Align::kLeft, 1}});
    std::string model;
    for (const FileResult& result : results_) {
      if (!result.status.ok()) continue;
      AddRows(result, &table);
      model = IdentityText(result.model);
    }
    if (!model.empty()) {
      session_.out() << table.Render(terminal.columns(), terminal.color, terminal.utf8)
                     << std::flush;
      if (terminal.out_is_tty) {
        session_.out() << Paint(absl::StrCat("by ", model), Style::kDim, terminal.color) << "\n";
      }
    }
    for (const FileResult& result : results_) {
      // What ended the command is reported once, not for every file.
      if (result.status.ok() || !result.answered) continue;
      session_.err() << "vitctl: " << Printable(result.file) << ": " << result.status.message()
                     << std::endl;
    }
  }

 private:
  void AddRows(const FileResult& result, Table* table) const {
    const Terminal& terminal = session_.terminal();
    bool first = true;
    for (const vit::v1::ClassScore& score : result.classes) {
      const std::string label =
          score.label().empty() ? absl::StrCat("class ", score.index()) : Printable(score.label());
      table->AddRow(
          {first ? Printable(result.file) : "",
           Table::Cell(label, first ? Style::kBold : Style::kPlain),
           FormatPercent(score.probability()),
           terminal.out_is_tty
               ? Table::Cell(ProgressBar(score.probability(), 20, terminal.utf8), Style::kCyan)
               : Table::Cell("")});
      first = false;
    }
  }

  const Session& session_;
  std::vector<FileResult> results_;
};

}  // namespace

std::unique_ptr<ClassifyOutput> MakeClassifyOutput(const Session& session) {
  if (session.output == "json") return std::make_unique<JsonOutput>(session);
  if (session.output == "jsonl") return std::make_unique<JsonLinesOutput>(session);
  if (session.output == "csv") return std::make_unique<CsvOutput>(session);
  return std::make_unique<TableOutput>(session);
}

}  // namespace vit
