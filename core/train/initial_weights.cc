#include "core/train/initial_weights.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/vision_transformer.h"
#include "core/train/trainer.h"
#include "core/weights/checksums.h"
#include "core/weights/import_model.h"
#include "core/weights/load_weights.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

// The weights that `spec.init` names: an absolute path under the data roots, run:ID@STEP or
// model:NAME@VERSION.
absl::StatusOr<fs::path> InitPath(const vit::v1::TrainingSpec& spec,
                                  const TrainingEnvironment& environment) {
  absl::string_view init = spec.init();
  if (absl::ConsumePrefix(&init, "model:")) {
    VIT_ASSIGN_OR_RETURN(const InitialModel model,
                         FindInitialModel(std::string(init), environment));
    VIT_RETURN_IF_ERROR(VerifyChecksums(model.directory, {"model.safetensors"}));
    return model.directory / "model.safetensors";
  }
  if (!absl::ConsumePrefix(&init, "run:")) {
    absl::StatusOr<fs::path> path = ResolveUnderRoots(init, environment.data_roots);
    if (!path.ok()) return Annotate(path.status(), "init");
    return path;
  }
  const std::pair<std::string, std::string> parts = absl::StrSplit(init, absl::MaxSplits('@', 1));
  int64_t step;
  if (!absl::SimpleAtoi(parts.second, &step)) {
    return absl::InvalidArgumentError(
        absl::StrCat("init '", spec.init(), "': '", parts.second, "' is not a step"));
  }
  if (!environment.find_checkpoint)
    return absl::InvalidArgumentError("init: there are no runs to start from here");
  absl::StatusOr<std::string> served = environment.find_checkpoint(parts.first);
  if (!served.ok()) return NoCheckpoint(served.status(), spec.init());
  const fs::path path =
      CheckpointPath(fs::path(*served).parent_path().parent_path(), step) / "model.safetensors";
  if (!fs::exists(path)) {
    return absl::NotFoundError(absl::StrCat("init ", spec.init(),
                                            ": the run has no checkpoint of step ", step,
                                            " any more; run:", parts.first, " is its best one"));
  }
  VIT_RETURN_IF_ERROR(VerifyChecksums(path.parent_path(), {"model.safetensors"}));
  return path;
}

// The weights in timm's layout. INVALID_ARGUMENT where the layout itself tells that they are of
// another model, which their shapes do not.
absl::StatusOr<TimmWeights> ReadInitialWeights(const fs::path& path,
                                               const vit::v1::TrainingSpec& spec) {
  VIT_ASSIGN_OR_RETURN(TimmWeights weights, ReadWeights(path));
  const int heads = spec.model().num_heads();
  if (weights.config.has_num_heads() && weights.config.num_heads() != heads) {
    return absl::InvalidArgumentError(absl::StrCat("init ", spec.init(), ": the weights have ",
                                                   weights.config.num_heads(),
                                                   " heads, model.num_heads is ", heads));
  }
  return weights;
}

}  // namespace

absl::StatusOr<InitialModel> FindInitialModel(const std::string& reference,
                                              const TrainingEnvironment& environment) {
  if (!environment.find_model)
    return absl::InvalidArgumentError("init: there are no models to start from here");
  absl::StatusOr<InitialModel> model = environment.find_model(reference);
  if (!model.ok()) return Annotate(model.status(), absl::StrCat("init model:", reference));
  return model;
}

absl::Status NoCheckpoint(const absl::Status& why, absl::string_view init) {
  const absl::Status named = Annotate(why, absl::StrCat("init ", init));
  return absl::IsUnavailable(why) ? absl::FailedPreconditionError(named.message()) : named;
}

absl::StatusOr<int64_t> CheckpointStep(const fs::path& directory) {
  const std::string name = directory.filename().string();
  int64_t step;
  if (!absl::StartsWith(name, "step-") || !absl::SimpleAtoi(name.substr(5), &step)) {
    return absl::InvalidArgumentError(
        absl::StrCat(directory.string(), " is not a checkpoint folder"));
  }
  return step;
}

absl::Status CheckInitialWeights(const vit::v1::TrainingSpec& spec,
                                 const TrainingEnvironment& environment) {
  return CatchExceptions("init", [&]() -> absl::Status {
    VIT_ASSIGN_OR_RETURN(const fs::path path, InitPath(spec, environment));
    const VisionTransformer model(spec.model());
    VIT_ASSIGN_OR_RETURN(const TimmWeights weights, ReadInitialWeights(path, spec));
    return Annotate(CheckInitialWeightsFit(weights.tensors, *model),
                    absl::StrCat("init ", spec.init()));
  });
}

fs::path KeptInitialWeights(const fs::path& run_directory) {
  return run_directory / "init.safetensors";
}

absl::Status KeepInitialWeights(const vit::v1::TrainingSpec& spec,
                                const TrainingEnvironment& environment,
                                const fs::path& run_directory) {
  if (!absl::StartsWith(spec.init(), "run:") && !absl::StartsWith(spec.init(), "model:"))
    return absl::OkStatus();
  VIT_ASSIGN_OR_RETURN(const fs::path path, InitPath(spec, environment));
  std::error_code code;
  fs::create_hard_link(path, KeptInitialWeights(run_directory), code);
  if (code) {
    return absl::ErrnoToStatus(code.value(), absl::StrCat("keep the weights of ", spec.init()));
  }
  return SyncDirectory(run_directory);
}

absl::StatusOr<std::string> CopyInitialWeights(const vit::v1::TrainingSpec& spec,
                                               const TrainingEnvironment& environment,
                                               const fs::path& run_directory,
                                               VisionTransformerImpl& model) {
  fs::path path = KeptInitialWeights(run_directory);
  if (!fs::exists(path)) {
    VIT_ASSIGN_OR_RETURN(path, InitPath(spec, environment));
  }
  VIT_ASSIGN_OR_RETURN(const TimmWeights weights, ReadInitialWeights(path, spec));
  absl::StatusOr<std::string> note = LoadInitialWeights(weights.tensors, model);
  if (!note.ok()) return Annotate(note.status(), absl::StrCat("init ", spec.init()));
  return note;
}

}  // namespace vit
