#include "core/train/initial_weights.h"

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/vision_transformer.h"
#include "core/train/weight_reference.h"
#include "core/weights/import_model.h"
#include "core/weights/load_weights.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

// The weights that `spec.init` (effective) names.
absl::StatusOr<fs::path> InitPath(const vit::v1::TrainingSpec& spec,
                                  const TrainingEnvironment& environment) {
  if (IsWeightReference(spec.init())) {
    VIT_ASSIGN_OR_RETURN(const fs::path directory,
                         ReferencedDirectory("init", spec.init(), environment));
    return directory / "model.safetensors";
  }
  absl::StatusOr<fs::path> path = ResolveUnderRoots(spec.init(), environment.data_roots);
  if (!path.ok()) return Annotate(path.status(), "init");
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
  if (!IsWeightReference(spec.init())) return absl::OkStatus();
  VIT_ASSIGN_OR_RETURN(const fs::path path, InitPath(spec, environment));
  VIT_RETURN_IF_ERROR(Annotate(LinkOrCopy(path, KeptInitialWeights(run_directory)),
                               absl::StrCat("keep the weights of ", spec.init())));
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
