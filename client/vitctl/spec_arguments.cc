#include "client/vitctl/spec_arguments.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "client/vitctl/view/text.h"

namespace vit {

void AddSpecArguments(CLI::App* command, SpecArguments* arguments) {
  SpecOptions& options = arguments->options;
  command->add_option("--data", options.data, "shapes:, folder:PATH, cifar10:PATH, ...")
      ->type_name("SOURCE");
  command->add_option("--preset", arguments->preset, "A recipe or model; see vitctl presets")
      ->type_name("PRESET");
  command->add_option("--init", options.init, "Weights: a file or folder, model:NAME or run:ID")
      ->type_name("INIT");
  command->add_option("--set", options.set, "Set any field; may be repeated")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
  command->add_option("--spec", options.spec_file, "A TrainingSpec (text format or JSON)")
      ->type_name("FILE");
}

absl::StatusOr<vit::v1::TrainingSpec> ReadSpec(const Session& session,
                                               const SpecArguments& arguments) {
  auto spec = BuildSpec(arguments.options, *session.io().in);
  if (!spec.ok()) return spec.status();
  const char* home = std::getenv("HOME");
  std::error_code error;
  const absl::Status resolved =
      ResolvePaths(IsLoopback(session.server), std::filesystem::current_path(error),
                   home == nullptr ? "" : home, &*spec);
  if (!resolved.ok()) return resolved;
  return spec;
}

}  // namespace vit
