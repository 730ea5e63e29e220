#include "client/vitctl/spec_options.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/set_field.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

absl::StatusOr<std::string> ReadSpecFile(const std::string& name, std::istream& in) {
  if (name == "-") return std::string(std::istreambuf_iterator<char>(in), {});
  std::error_code error;
  if (std::filesystem::is_directory(name, error)) {
    return absl::InvalidArgumentError(absl::StrCat("--spec ", name, ": is a directory"));
  }
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    const std::string message = absl::StrCat("--spec ", name, ": ", std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(message) : absl::InvalidArgumentError(message);
  }
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::Status About(const std::string& option, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(option, ": ", status.message()));
}

absl::StatusOr<std::string> ResolvePath(const std::string& what, const std::string& path,
                                        bool loopback, const std::filesystem::path& directory,
                                        const std::string& home) {
  if (path.empty() || absl::StartsWith(path, "/")) return path;
  if (!loopback) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": '", path,
                     "' is relative, but the server is another machine and reads "
                     "its own files; give the absolute path there"));
  }
  if (absl::StartsWith(path, "~/") && !home.empty()) {
    return (std::filesystem::path(home) / path.substr(2)).lexically_normal().string();
  }
  std::string absolute = (directory / path).lexically_normal().string();
  if (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

}  // namespace

absl::StatusOr<vit::v1::TrainingSpec> BuildSpec(const SpecOptions& options, std::istream& in) {
  vit::v1::TrainingSpec spec;
  if (!options.spec_file.empty()) {
    const auto text = ReadSpecFile(options.spec_file, in);
    if (!text.ok()) return text.status();
    if (absl::Status status = ParseMessageText(*text, &spec); !status.ok()) {
      return About(absl::StrCat("--spec ", options.spec_file), status);
    }
  }
  if (!options.data.empty()) spec.mutable_data()->set_source(options.data);
  if (!options.init.empty()) spec.set_init(options.init);
  for (const std::string& assignment : options.set) {
    if (absl::Status status = SetField(assignment, &spec); !status.ok()) {
      return About(absl::StrCat("--set ", assignment), status);
    }
  }
  return spec;
}

absl::Status ResolvePaths(bool loopback, const std::filesystem::path& directory,
                          const std::string& home, vit::v1::TrainingSpec* spec) {
  if (spec->has_init() && !absl::StartsWith(spec->init(), "run:") &&
      !absl::StartsWith(spec->init(), "model:")) {
    auto path = ResolvePath("init", spec->init(), loopback, directory, home);
    if (!path.ok()) return path.status();
    spec->set_init(*path);
  }
  if (spec->data().has_source()) {
    const std::string source = spec->data().source();
    for (const std::string kind : {"folder:", "csv:", "wds:", "packed:", "cifar10:", "cifar100:"}) {
      if (!absl::StartsWith(source, kind)) continue;
      auto path = ResolvePath("data.source", source.substr(kind.size()), loopback, directory, home);
      if (!path.ok()) return path.status();
      spec->mutable_data()->set_source(kind + *path);
    }
  }
  return absl::OkStatus();
}

}  // namespace vit
