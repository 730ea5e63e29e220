#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/vitctl/commands/commands.h"
#include "client/vitctl/follow.h"
#include "client/vitctl/view/text.h"

namespace vit {

void AddWatch(CLI::App& app, Session& session) {
  struct Options {
    std::string run;
    std::string reconnect = "2m";
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("watch", "Follow a run to its end");
  command->add_option("RUN", options->run, "Id, its start, or name; default: the latest")
      ->type_name("RUN");
  command->add_option("--reconnect", options->reconnect, "Time to try to reconnect; 0: never")
      ->type_name("DURATION")
      ->check(
          [](const std::string& text) {
            const auto parsed = ParseTimeout(text);
            return parsed.ok() || text == "0" ? std::string()
                                              : std::string(parsed.status().message());
          },
          "", "")
      ->default_str("2m");
  command->footer(
      R"(Shows a live view on a terminal, one line per event in a pipe, and one JSON
message per line with -o json. Ctrl-C leaves the run going. Without --timeout,
there is no time limit.
)");
  command->callback([&session, options] {
    session.action = [&session, options]() -> int {
      auto client = session.Client();
      if (!client.ok()) return session.Fail(client.status());
      FollowOptions follow;
      follow.reconnect = ParseTimeout(options->reconnect).value_or(absl::ZeroDuration());
      follow.timeout = session.given_timeout();
      return FollowRun(session, **client, options->run, follow);
    };
  });
}

}  // namespace vit
