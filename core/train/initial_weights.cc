#include "core/train/initial_weights.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/vision_transformer.h"
#include "core/train/weight_reference.h"
#include "core/weights/import_model.h"
#include "core/weights/load_weights.h"
#include "core/weights/model_directory.h"
#include "core/weights/pretrained_config.h"

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
  absl::StatusOr<fs::path> path = ResolveNamedUnderRoots(spec.init(), environment.data_roots);
  if (!path.ok()) return Annotate(path.status(), "init");
  return path;
}

// The weights in timm's layout. INVALID_ARGUMENT where the layout itself tells that they are of
// another model, which their shapes do not.
absl::StatusOr<FileWeights> ReadInitialWeights(const fs::path& path,
                                               const vit::v1::TrainingSpec& spec,
                                               const TrainingEnvironment& environment) {
  absl::StatusOr<FileWeights> weights = ReadWeights(
      path, {.prefix = spec.init_prefix(), .weights = spec.init_weights()}, environment.data_roots);
  if (!weights.ok()) return Annotate(weights.status(), "init");
  const int heads = spec.model().num_heads();
  const vit::v1::ModelConfig& told = weights->timm.config;
  if (told.has_num_heads() && told.num_heads() != heads) {
    return absl::InvalidArgumentError(absl::StrCat("init ", spec.init(), ": the weights have ",
                                                   told.num_heads(), " heads, model.num_heads is ",
                                                   heads));
  }
  return weights;
}

fs::path KeptLabels(const fs::path& run_directory) { return run_directory / "init.labels.txt"; }

// The classes of the head's rows, in their order; nothing where they are not known.
absl::StatusOr<std::vector<std::string>> InitialLabels(const vit::v1::TrainingSpec& spec,
                                                       const fs::path& path,
                                                       const fs::path& run_directory,
                                                       const TrainingEnvironment& environment) {
  constexpr int64_t kMaxBytes = int64_t{64} << 20;
  std::vector<std::string> labels;
  fs::path file = KeptLabels(run_directory);
  if (!fs::exists(file) && IsWeightReference(spec.init())) file = path.parent_path() / "labels.txt";
  if (fs::exists(file)) {
    VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxBytes));
    labels = ParseLabelLines(text);
  } else if (fs::is_directory(path)) {
    // One that cannot be understood is no reason not to start from the weights.
    const absl::StatusOr<PretrainedConfig> config =
        ReadPretrainedConfig(path, environment.data_roots);
    if (config.ok()) labels = config->labels;
  }
  // A run's labels are its classes, whatever they look like.
  if (!absl::StartsWith(spec.init(), "run:") && !AreNames(labels)) labels.clear();
  return labels;
}

}  // namespace

absl::Status ResolveInitialWeights(const TrainingEnvironment& environment,
                                   vit::v1::TrainingSpec* spec) {
  return CatchExceptions("init", [&]() -> absl::Status {
    VIT_ASSIGN_OR_RETURN(const fs::path path, InitPath(*spec, environment));
    const VisionTransformer model(spec->model());
    VIT_ASSIGN_OR_RETURN(const FileWeights weights, ReadInitialWeights(path, *spec, environment));
    VIT_RETURN_IF_ERROR(Annotate(CheckInitialWeightsFit(weights.timm.tensors, *model),
                                 absl::StrCat("init ", spec->init())));
    if (!weights.prefix.empty()) spec->set_init_prefix(weights.prefix);
    if (weights.choice != vit::v1::WEIGHTS_CHOICE_UNSPECIFIED)
      spec->set_init_weights(weights.choice);
    return absl::OkStatus();
  });
}

fs::path KeptInitialWeights(const fs::path& run_directory) {
  return run_directory / "init.safetensors";
}

absl::Status KeepInitialWeights(const vit::v1::TrainingSpec& spec,
                                const TrainingEnvironment& environment,
                                const fs::path& run_directory) {
  if (!IsWeightReference(spec.init())) return absl::OkStatus();
  const std::string what = absl::StrCat("keep the weights of ", spec.init());
  VIT_ASSIGN_OR_RETURN(const fs::path path, InitPath(spec, environment));
  const fs::path labels = path.parent_path() / "labels.txt";
  if (fs::exists(labels)) {
    VIT_RETURN_IF_ERROR(Annotate(LinkOrCopy(labels, KeptLabels(run_directory)), what));
  }
  VIT_RETURN_IF_ERROR(Annotate(LinkOrCopy(path, KeptInitialWeights(run_directory)), what));
  return SyncDirectory(run_directory);
}

absl::StatusOr<std::string> CopyInitialWeights(const vit::v1::TrainingSpec& spec,
                                               const TrainingEnvironment& environment,
                                               const fs::path& run_directory,
                                               const std::vector<std::string>& classes,
                                               VisionTransformerImpl& model) {
  fs::path path = KeptInitialWeights(run_directory);
  if (!fs::exists(path)) {
    VIT_ASSIGN_OR_RETURN(path, InitPath(spec, environment));
  }
  VIT_ASSIGN_OR_RETURN(FileWeights weights, ReadInitialWeights(path, spec, environment));
  VIT_ASSIGN_OR_RETURN(std::vector<std::string> labels,
                       InitialLabels(spec, path, run_directory, environment));
  absl::StatusOr<std::string> note = LoadInitialWeights(
      weights.timm.tensors, model, {.weights = std::move(labels), .model = classes});
  if (!note.ok()) return Annotate(note.status(), absl::StrCat("init ", spec.init()));
  if (!note->empty()) weights.notes.push_back(*std::move(note));
  return absl::StrJoin(weights.notes, "; ");
}

}  // namespace vit
