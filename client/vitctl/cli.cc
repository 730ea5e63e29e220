#include "client/vitctl/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/vitctl/commands/commands.h"
#include "client/vitctl/complete/completer.h"
#include "client/vitctl/output_formats.h"
#include "client/vitctl/view/text.h"
#include "proto/field_names.h"

namespace vit {
namespace {

constexpr char kFooter[] = R"(Exit codes:
  0 done   1 failed   2 wrong command line, spec or image   3 not found
  4 server unreachable or not serving   5 deadline passed   6 the run failed
  7 the run was stopped or interrupted   8 not possible now, or exists already
  9 not allowed   130 interrupted with Ctrl-C

Environment: VITCTL_SERVER (for --server), NO_COLOR, COLUMNS.

Examples:
  vitctl start-run --data shapes: --preset shapes_demo --watch
  vitctl classify cat.jpg
)";

// Formats an option as one line with its type, and its default if it is worth showing.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(30); }

  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_positional() || option->get_type_size() == 0) return "";
    return absl::StrCat(" ", option->get_type_name());
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    const std::string value = option->get_default_str();
    return absl::StrCat(option->get_description(),
                        value.empty() ? "" : absl::StrCat(" (default ", value, ")"));
  }
};

void AddGlobalOptions(CLI::App& app, Session& session) {
  app.add_option("--server", session.server, "Where vitd listens")
      ->type_name("HOST:PORT")
      ->envname("VITCTL_SERVER")
      ->capture_default_str();
  app.add_option("-o,--output", session.output, "table, wide, json, csv, jsonl")
      ->type_name("FORMAT")
      ->check(CLI::IsMember(OutputFormats("")).description(""))
      ->capture_default_str();
  app.add_option("--timeout", session.timeout, "Longest wait for an answer, such as 5s or 2m")
      ->type_name("DURATION")
      ->check(
          [](const std::string& text) {
            const auto parsed = ParseTimeout(text);
            return parsed.ok() ? std::string() : std::string(parsed.status().message());
          },
          "", "");
  app.set_version_flag("--version", absl::StrCat("vitctl ", VIT_VERSION), "Print the version");
}

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(absl::StrCat("--", name));
  }
  return names;
}

const CLI::App* ParsedCommand(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? nullptr : parsed.front();
}

// Returns what is wrong with the command line, with the nearest command or option for a misspelt
// one.
std::string UsageMessage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = ParsedCommand(app);
  const std::vector<std::string> extras = app.remaining(/*recurse=*/true);
  const bool no_command =
      command == nullptr && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  if (no_command && extras.empty()) return "no command given";
  if (no_command || dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::string extra = extras.empty() ? "" : extras.front();
    std::vector<std::string> known = OptionNames(app);
    if (command != nullptr) {
      for (const std::string& name : OptionNames(*command)) known.push_back(name);
    }
    if (absl::StartsWith(extra, "-")) {
      const std::string nearest = NearestName(extra.substr(0, extra.find('=')), known);
      return absl::StrCat("unknown option ", extra,
                          nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"));
    }
    if (command != nullptr) return absl::StrCat("unexpected argument '", extra, "'");
    const std::string nearest = NearestName(extra, CommandNames(app));
    return absl::StrCat("unknown command '", extra, "'",
                        nearest.empty()
                            ? absl::StrCat("; commands: ", absl::StrJoin(CommandNames(app), ", "))
                            : absl::StrCat("; did you mean ", nearest, "?"));
  }
  return error.what();
}

// In the order of --help.
constexpr void (*kCommands[])(CLI::App& app, Session& session) = {
    AddStartRun, AddPreviewData, AddStatus,      AddWatch,   AddRuns,       AddStop,     AddResume,
    AddRm,       AddHistory,     AddEvaluation,  AddPresets, AddFields,     AddClassify, AddBench,
    AddEmbed,    AddExplain,     AddModels,      AddPublish, AddImport,     AddExport,   AddLoad,
    AddUnload,   AddPackData,    AddInspectData, AddHealth,  AddCompletion,
};

}  // namespace

int RunVitctl(const std::vector<std::string>& args, Io io) {
  Session session(std::move(io));
  CLI::App app("Train and serve Vision Transformers on a vitd daemon.", "vitctl");
  app.fallthrough();
  app.require_subcommand(1);
  app.formatter(std::make_shared<HelpFormatter>());
  AddGlobalOptions(app, session);
  for (const auto add : kCommands) add(app, session);
  app.footer(kFooter);  // after the commands, which would inherit it

  // The completion scripts call this; the words after it are not a command line yet, so they are
  // not parsed.
  if (!args.empty() && args[0] == "__complete") {
    const size_t skip = args.size() > 1 && args[1] == "--" ? 2 : 1;
    session.out() << Completer(app, session).Complete({args.begin() + skip, args.end()});
    return kExitOk;
  }
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    // Help for a command that does not exist is a mistake, not a request for the list of commands.
    if (ParsedCommand(app) == nullptr && !app.remaining().empty()) {
      return session.Fail(absl::InvalidArgumentError(absl::StrCat(
          UsageMessage(app, CLI::ExtrasError(app.remaining())), "; see vitctl --help")));
    }
    session.out() << app.help();
    return kExitOk;
  } catch (const CLI::CallForVersion& version) {
    session.out() << version.what() << "\n";
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    const CLI::App* command = ParsedCommand(app);
    return session.Fail(absl::InvalidArgumentError(
        absl::StrCat(UsageMessage(app, error), "; see vitctl ",
                     command == nullptr ? "" : absl::StrCat(command->get_name(), " "), "--help")));
  }
  if (const absl::Status known = CheckOutputFormat(ParsedCommand(app)->get_name(), session.output);
      !known.ok()) {
    return session.Fail(known);
  }
  if (session.output == "wide") session.ShowWhole();
  const int exit_code = session.action();
  session.out().flush();
  if (!session.out() && exit_code == kExitOk) {
    return session.Fail(absl::UnknownError("cannot write the output: is the disk full?"));
  }
  return exit_code;
}

}  // namespace vit
