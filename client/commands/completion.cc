#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "client/commands/commands.h"
#include "client/completer.h"
#include "client/completion_scripts.h"

namespace vit {

void AddCompletion(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print a shell's completion script");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->type_name("SHELL")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(R"(The script asks vitctl itself for every completion, so it never goes stale.

  bash: echo 'source <(vitctl completion bash)' >> ~/.bashrc
  zsh:  vitctl completion zsh > "${fpath[1]}/_vitctl"
  fish: vitctl completion fish > ~/.config/fish/completions/vitctl.fish
)");
  command->callback([&session, shell] {
    session.action = [&session, shell] {
      session.out() << CompletionScript(*shell);
      return kExitOk;
    };
  });

  // What the scripts call: the words of the command line so far, the one to complete last.
  CLI::App* hidden =
      app.add_subcommand("__complete", "Print completions")->group("")->prefix_command();
  hidden->callback([&app, &session, hidden] {
    session.action = [&app, &session, words = hidden->remaining()] {
      Completer completer(app, session);
      session.out() << completer.Complete(words);
      return kExitOk;
    };
  });
}

}  // namespace vit
