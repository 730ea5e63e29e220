#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/vitctl/commands/commands.h"
#include "client/vitctl/complete/completion_scripts.h"

namespace vit {

void AddCompletion(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print a shell's completion script");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->type_name("SHELL")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
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
}

}  // namespace vit
