// The part of a TrainingSpec that a command line sets.
#ifndef VIT_CLIENT_VITCTL_SPEC_OPTIONS_H_
#define VIT_CLIENT_VITCTL_SPEC_OPTIONS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct SpecOptions {
  std::string spec_file;  // a TrainingSpec in text format or JSON; "-" is standard input, "" none
  std::string data;       // data.source
  std::string init;       // init
  std::vector<std::string> set;  // path.to.field=value
};

// Builds a spec from the file's fields, overridden by --data and --init, and those by --set in
// order. INVALID_ARGUMENT names the option at fault, and the nearest field for a misspelt one;
// NOT_FOUND names a missing file.
absl::StatusOr<vit::v1::TrainingSpec> BuildSpec(const SpecOptions& options, std::istream& in);

// Makes the paths in `spec` (data.source and init) absolute. They are the daemon's paths: if the
// daemon is on this machine (`loopback`), a relative one starts at `directory` and a leading ~/ at
// `home`; otherwise a relative path is INVALID_ARGUMENT.
absl::Status ResolvePaths(bool loopback, const std::filesystem::path& directory,
                          const std::string& home, vit::v1::TrainingSpec* spec);

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_SPEC_OPTIONS_H_
