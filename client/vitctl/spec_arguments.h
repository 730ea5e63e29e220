// The arguments by which a command takes a TrainingSpec: --data, --preset, --set and so on.
#ifndef VIT_CLIENT_VITCTL_SPEC_ARGUMENTS_H_
#define VIT_CLIENT_VITCTL_SPEC_ARGUMENTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/vitctl/session.h"
#include "client/vitctl/spec_options.h"
#include "vit/v1/training.pb.h"

namespace CLI {
class App;
}

namespace vit {

struct SpecArguments {
  SpecOptions options;
  std::string preset;
};

// `arguments` must outlive `command`.
void AddSpecArguments(CLI::App* command, SpecArguments* arguments);

// Returns the spec that they describe, with its paths as the daemon reads them. Statuses are those
// of BuildSpec and ResolvePaths.
absl::StatusOr<vit::v1::TrainingSpec> ReadSpec(const Session& session,
                                               const SpecArguments& arguments);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_SPEC_ARGUMENTS_H_
