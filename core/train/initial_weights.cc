#include "core/train/initial_weights.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/model/vision_transformer.h"
#include "core/weights/import_model.h"
#include "core/weights/load_weights.h"
#include "core/weights/model_directory.h"
#include "core/weights/pretrained_config.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

fs::path KeptWeights(const fs::path& run_directory) { return run_directory / "init.safetensors"; }
fs::path KeptLabels(const fs::path& run_directory) { return run_directory / "init.labels.txt"; }

// Reads the weights in timm's layout. INVALID_ARGUMENT if the layout shows that they belong to
// another model, which their shapes cannot show.
absl::StatusOr<FileWeights> ReadInitialWeights(const fs::path& path,
                                               const vit::v1::TrainingSpec& spec,
                                               absl::Span<const std::string> data_roots) {
  absl::StatusOr<FileWeights> weights =
      ReadWeights(path, {.prefix = spec.init_prefix(), .weights = spec.init_weights()}, data_roots);
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

// Returns the classes of the head's rows, in order; empty if they are not known.
absl::StatusOr<std::vector<std::string>> InitialLabels(const fs::path& path,
                                                       const vit::v1::TrainingSpec& spec,
                                                       absl::Span<const std::string> data_roots) {
  constexpr int64_t kMaxBytes = int64_t{64} << 20;
  std::vector<std::string> labels;
  // Next to a run's copy of the weights, or next to the weights of a model directory.
  const fs::path folder = path.parent_path();
  const fs::path file = path == KeptWeights(folder) ? KeptLabels(folder) : folder / kLabelsFile;
  if (IsPrefixedModelRef(spec.init()) && fs::exists(file)) {
    VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxBytes));
    labels = ParseLabelLines(text);
  } else if (fs::is_directory(path)) {
    // A config that cannot be parsed does not keep the run from starting from the weights.
    const absl::StatusOr<PretrainedConfig> config = ReadPretrainedConfig(path, data_roots);
    if (config.ok()) labels = config->labels;
  }
  // A run's labels are its classes, even if they do not look like names.
  if (!absl::StartsWith(spec.init(), "run:") && !AreNames(labels)) labels.clear();
  return labels;
}

}  // namespace

absl::StatusOr<fs::path> FindInitialWeights(const vit::v1::TrainingSpec& spec,
                                            const fs::path& run_directory,
                                            const ServableModel* pinned,
                                            absl::Span<const std::string> data_roots) {
  if (KeepsInitialWeights(run_directory)) return KeptWeights(run_directory);
  if (pinned != nullptr) return pinned->directory / kWeightsFile;
  absl::StatusOr<fs::path> path = ResolveNamedUnderRoots(spec.init(), data_roots);
  if (!path.ok()) return Annotate(path.status(), "init");
  return path;
}

absl::Status ResolveInitialWeights(const fs::path& path, absl::Span<const std::string> data_roots,
                                   vit::v1::TrainingSpec* spec) {
  return CatchExceptions("init", [&]() -> absl::Status {
    const VisionTransformer model(spec->model());
    VIT_ASSIGN_OR_RETURN(const FileWeights weights, ReadInitialWeights(path, *spec, data_roots));
    VIT_RETURN_IF_ERROR(Annotate(CheckInitialWeightsFit(weights.timm.tensors, *model),
                                 absl::StrCat("init ", spec->init())));
    if (!weights.prefix.empty()) spec->set_init_prefix(weights.prefix);
    if (weights.choice != vit::v1::WEIGHTS_CHOICE_UNSPECIFIED) {
      spec->set_init_weights(weights.choice);
    }
    return absl::OkStatus();
  });
}

bool KeepsInitialWeights(const fs::path& run_directory) {
  return !run_directory.empty() && fs::exists(KeptWeights(run_directory));
}

absl::Status KeepInitialWeights(const ServableModel& model, const fs::path& run_directory) {
  const std::string what = absl::StrCat("keep the weights of ", model.ref.ToString());
  const fs::path labels = model.directory / kLabelsFile;
  if (fs::exists(labels)) {
    VIT_RETURN_IF_ERROR(Annotate(LinkOrCopy(labels, KeptLabels(run_directory)), what));
  }
  VIT_RETURN_IF_ERROR(
      Annotate(LinkOrCopy(model.directory / kWeightsFile, KeptWeights(run_directory)), what));
  return SyncDirectory(run_directory);
}

absl::StatusOr<std::string> CopyInitialWeights(const fs::path& path,
                                               const vit::v1::TrainingSpec& spec,
                                               absl::Span<const std::string> data_roots,
                                               const std::vector<std::string>& classes,
                                               VisionTransformerImpl& model) {
  VIT_ASSIGN_OR_RETURN(FileWeights weights, ReadInitialWeights(path, spec, data_roots));
  VIT_ASSIGN_OR_RETURN(std::vector<std::string> labels, InitialLabels(path, spec, data_roots));
  absl::StatusOr<std::string> note = LoadInitialWeights(
      weights.timm.tensors, model, {.weights = std::move(labels), .model = classes});
  if (!note.ok()) return Annotate(note.status(), absl::StrCat("init ", spec.init()));
  if (!note->empty()) weights.notes.push_back(*std::move(note));
  return absl::StrJoin(weights.notes, "; ");
}

}  // namespace vit
