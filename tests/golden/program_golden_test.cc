// What scripts, dashboards and backups rely on: metrics, JSON documents, exit codes, files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/core/data/testing.h"
#include "tests/e2e/process.h"
#include "tests/golden/golden.h"
#include "tests/server/testing.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// "name type {labels}" for every metric of a scrape.
std::string MetricNames(const std::string& scrape) {
  std::map<std::string, std::string> types;
  std::map<std::string, std::set<std::string>> labels;
  for (const absl::string_view line : absl::StrSplit(scrape, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (absl::StartsWith(line, "# TYPE ")) types[words[2]] = words[3];
    if (line[0] == '#') continue;
    const std::string series(line.substr(0, line.rfind(' ')));
    std::string name = series.substr(0, series.find('{'));
    static const std::regex suffix("_(bucket|sum|count)$");
    const std::string family = std::regex_replace(name, suffix, "");
    if (types.contains(family)) name = family;
    static const std::regex label("[{,]([a-z_]+)=\"");
    for (std::sregex_iterator it(series.begin(), series.end(), label), end; it != end; ++it) {
      if ((*it)[1] != "le") labels[name].insert((*it)[1]);
    }
  }
  std::string text;
  for (const auto& [name, type] : types) {
    absl::StrAppend(&text, name, " ", type, " {", absl::StrJoin(labels[name], ","), "}\n");
  }
  return text;
}

// Every path of a document with the type of its value; all entries of a list alike.
void AddPaths(const Json& value, const std::string& path, std::set<std::string>* paths) {
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      AddPaths(member, absl::StrCat(path, ".", key), paths);
    }
  } else if (value.is_array()) {
    for (const Json& entry : value) AddPaths(entry, absl::StrCat(path, "[]"), paths);
  } else {
    paths->insert(absl::StrCat(path, " ", value.is_number() ? "number" : value.type_name()));
  }
}

class ProgramGoldenTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    for (const std::string file : {"set/a/1.png", "set/a/2.png", "set/b/3.png", "set/b/4.png"}) {
      folder_->Write(file, Encode(SmoothImage(16, 16, file[6]), ".png"));
    }
    daemon_ = new TestDaemon(folder_->path() / "state", {"--data-root", folder_->root()});
    ASSERT_NO_FATAL_FAILURE(daemon_->Start());
    std::vector<std::string> start = {
        "start-run", "--data", "shapes:", "--name", "first", "--watch"};
    for (const char* field :
         {"model.image_size=16", "model.patch_size=8", "model.embed_dim=32", "model.depth=1",
          "model.num_heads=2", "data.shapes.train_size=40", "data.shapes.val_size=20",
          "batch_size=20", "max_steps=4", "log_every_steps=2", "seed=1"}) {
      start.insert(start.end(), {"--set", field});
    }
    const auto [code, output] = daemon_->Vitctl(start);
    ASSERT_EQ(code, 0) << output;
    ASSERT_EQ(daemon_->Vitctl({"publish", "first", "--as", "shapes"}).first, 0);
    ASSERT_EQ(daemon_->Vitctl({"classify", Image()}).first, 0);
    ASSERT_EQ(daemon_->Vitctl({"classify", Image(), "--model", "shapes"}).first, 0);
  }
  static void TearDownTestSuite() {
    delete daemon_;
    delete folder_;
  }

  static std::string Path(const std::string& name) { return (folder_->path() / name).string(); }
  static std::string Image() { return Path("set/a/1.png"); }

  static inline TemporaryFolder* folder_ = nullptr;
  static inline TestDaemon* daemon_ = nullptr;
};

TEST_F(ProgramGoldenTest, Metrics) {
  ExpectGolden("metrics.txt", MetricNames(HttpGet(daemon_->metrics_port(), "/metrics")));
}

TEST_F(ProgramGoldenTest, JsonDocuments) {
  const std::vector<std::vector<std::string>> commands = {
      {"status", "first"},
      {"runs"},
      {"history", "first"},
      {"evaluation", "first"},
      {"presets", "shapes_demo"},
      {"classify", Image()},
      {"embed", Image()},
      {"models"},
      {"models", "shapes"},
      {"health"},
      {"watch", "first"},
      {"inspect-data", absl::StrCat("folder:", Path("set"))},
      {"pack-data", absl::StrCat("folder:", Path("set")), "--out", Path("packed")},
      {"start-run", "--preset", "shapes_demo", "--data", "shapes:", "--validate-only"},
  };
  std::set<std::string> lines;
  for (std::vector<std::string> command : commands) {
    const std::string name = command[0] == "models" && command.size() > 1 ? "models NAME"
                             : command[0] == "start-run" ? "start-run --validate-only"
                                                         : command[0];
    command.insert(command.begin(), {"-o", "json"});
    const auto [code, output] = daemon_->Vitctl(command);
    ASSERT_EQ(code, 0) << name << ": " << output;
    for (const absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
      Json document = Json::parse(line.begin(), line.end(), nullptr, false);
      if (document.is_discarded()) document = Json::parse(output);
      std::set<std::string> paths;
      AddPaths(document, "", &paths);
      for (const std::string& path : paths) lines.insert(absl::StrCat(name, ": ", path));
      if (line.size() + 1 < output.size() && line == "{") break;
    }
  }
  ExpectGolden("json.txt", absl::StrCat(absl::StrJoin(lines, "\n"), "\n"));
}

TEST_F(ProgramGoldenTest, ExitCodes) {
  folder_->Write("notes.jpg", "not an image");
  const std::vector<std::vector<std::string>> commands = {
      {"health"},
      {"status", "first"},
      {"status", "nobody"},
      {"stop", "first"},
      {"resume", "first"},
      {"watch", "first"},
      {"no-such-command"},
      {"status", "--no-such-option"},
      {"classify", "NOTES"},
      {"classify", "IMAGE", "NOTES"},
      {"classify", "MISSING"},
      {"classify", "IMAGE", "--model", "run:nobody"},
      {"classify", "IMAGE", "--model", "nobody"},
      {"classify", "IMAGE", "--model", "shapes@9"},
      {"start-run", "--data", "folder:/etc", "--validate-only"},
      {"start-run", "--data", "folder:MISSING", "--validate-only"},
      {"start-run", "--data", "shapes:", "--set", "model.depth=0", "--validate-only"},
      {"start-run", "--data", "shapes:", "--set", "model.dept=1", "--validate-only"},
      {"start-run", "--data", "shapes:", "--preset", "nothing", "--validate-only"},
      {"start-run", "--data", "shapes:", "--init", "run:nobody", "--validate-only"},
      {"rm", "nobody"},
      {"rm", "model:nobody"},
      {"publish", "nobody", "--as", "name"},
      {"load", "nobody"},
      {"unload", "nobody"},
      {"export", "nobody", "--format", "timm", "--out", "OUT"},
      {"import", "MISSING", "--name", "name"},
      {"evaluation", "first", "--step", "77"},
      {"history", "nobody"},
      {"presets", "nothing"},
      {"inspect-data", "folder:MISSING"},
  };
  std::string text;
  for (const std::vector<std::string>& command : commands) {
    std::vector<std::string> arguments = command;
    for (std::string& argument : arguments) {
      argument = std::regex_replace(argument, std::regex("NOTES"), Path("notes.jpg"));
      argument = std::regex_replace(argument, std::regex("IMAGE"), Image());
      argument = std::regex_replace(argument, std::regex("MISSING"), Path("missing"));
      argument = std::regex_replace(argument, std::regex("OUT"), Path("out"));
    }
    absl::StrAppend(&text, absl::StrJoin(command, " "), ": ", daemon_->Vitctl(arguments).first,
                    "\n");
  }
  ExpectGolden("exit_codes.txt", text);
}

TEST_F(ProgramGoldenTest, Files) {
  const std::string run =
      Json::parse(daemon_->Vitctl({"-o", "json", "status", "first"}).second)["run"]["id"];
  std::set<std::string> lines;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(daemon_->state_dir())) {
    std::string name = fs::relative(entry.path(), daemon_->state_dir()).string();
    name = std::regex_replace(name, std::regex(run), "RUN");
    name = std::regex_replace(name, std::regex("step-[0-9]{9}"), "step-STEP");
    name = std::regex_replace(name, std::regex("tfevents\\..*"), "tfevents.*");
    if (entry.is_directory()) name += "/";
    lines.insert(name);
    if (entry.path().extension() == ".json") {
      std::set<std::string> paths;
      AddPaths(Json::parse(ReadAll(entry.path())), "", &paths);
      for (const std::string& path : paths) lines.insert(absl::StrCat(name, ": ", path));
    }
  }
  ExpectGolden("files.txt", absl::StrCat(absl::StrJoin(lines, "\n"), "\n"));
}

}  // namespace
}  // namespace vit
