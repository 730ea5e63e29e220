#include "core/train/weight_reference.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/checksums.h"
#include "core/base/status.h"
#include "core/train/trainer.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kRun = "run:", kModel = "model:";

absl::StatusOr<InitialModel> FindModel(absl::string_view field, absl::string_view reference,
                                       const TrainingEnvironment& environment) {
  if (!environment.find_model)
    return absl::InvalidArgumentError(absl::StrCat(field, ": there are no models to take it from"));
  absl::StatusOr<InitialModel> model = environment.find_model(std::string(reference));
  if (!model.ok()) {
    return Annotate(model.status(), absl::StrCat(field, " ", kModel, reference));
  }
  return model;
}

// The folder of the run's best checkpoint, else its last.
absl::StatusOr<fs::path> FindCheckpoint(absl::string_view field, const std::string& run,
                                        const TrainingEnvironment& environment) {
  if (!environment.find_checkpoint)
    return absl::InvalidArgumentError(absl::StrCat(field, ": there are no runs to take it from"));
  const absl::StatusOr<std::string> directory = environment.find_checkpoint(run);
  if (directory.ok()) return fs::path(*directory);
  const absl::Status named = Annotate(directory.status(), absl::StrCat(field, " ", kRun, run));
  // UNAVAILABLE would ask a caller to try again.
  return absl::IsUnavailable(named) ? absl::FailedPreconditionError(named.message()) : named;
}

}  // namespace

absl::StatusOr<int64_t> CheckpointStep(const fs::path& directory) {
  const std::string name = directory.filename().string();
  int64_t step;
  if (!absl::StartsWith(name, "step-") || !absl::SimpleAtoi(name.substr(5), &step)) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory.string(), " is not a checkpoint folder"));
  }
  return step;
}

bool IsWeightReference(absl::string_view reference) {
  return absl::StartsWith(reference, kRun) || absl::StartsWith(reference, kModel);
}

absl::StatusOr<std::string> PinReference(absl::string_view field, const std::string& reference,
                                         const TrainingEnvironment& environment) {
  absl::string_view name = reference;
  if (absl::StrContains(name, '@')) return reference;
  if (absl::ConsumePrefix(&name, kModel)) {
    VIT_ASSIGN_OR_RETURN(const InitialModel found, FindModel(field, name, environment));
    return absl::StrCat(kModel, found.reference);
  }
  if (!absl::ConsumePrefix(&name, kRun)) return reference;
  VIT_ASSIGN_OR_RETURN(const fs::path directory,
                       FindCheckpoint(field, std::string(name), environment));
  VIT_ASSIGN_OR_RETURN(const int64_t step, CheckpointStep(directory));
  const fs::path run = directory.parent_path().parent_path();
  return absl::StrCat(kRun, run.filename().string(), "@", step);
}

absl::StatusOr<fs::path> ReferencedDirectory(absl::string_view field, const std::string& reference,
                                             const TrainingEnvironment& environment) {
  absl::string_view name = reference;
  fs::path directory;
  if (absl::ConsumePrefix(&name, kModel)) {
    VIT_ASSIGN_OR_RETURN(const InitialModel model, FindModel(field, name, environment));
    directory = model.directory;
  } else if (absl::ConsumePrefix(&name, kRun)) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(name, absl::MaxSplits('@', 1));
    int64_t step;
    if (!absl::SimpleAtoi(parts.second, &step)) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, " '", reference, "': '", parts.second, "' is not a step"));
    }
    VIT_ASSIGN_OR_RETURN(const fs::path served, FindCheckpoint(field, parts.first, environment));
    directory = CheckpointPath(served.parent_path().parent_path(), step);
    if (!fs::exists(directory / "model.safetensors")) {
      return absl::NotFoundError(absl::StrCat(field, " ", reference,
                                              ": the run has no checkpoint of step ", step,
                                              " any more; run:", parts.first, " is its best one"));
    }
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " '", reference, "': expected run:ID or model:NAME"));
  }
  VIT_RETURN_IF_ERROR(VerifyChecksums(directory, {"model.safetensors"}));
  return directory;
}

}  // namespace vit
