#include "core/train/resolve_spec.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/model/model_config.h"
#include "core/spec/defaults.h"
#include "core/spec/merge_spec.h"
#include "core/spec/presets.h"
#include "core/spec/rules.h"
#include "core/train/optim/optimizer_config.h"
#include "core/train/optim/schedule_config.h"
#include "core/train/recipe/recipe_config.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::vit::v1::TrainingSpec;

// Checks what the rules of an effective spec do not cover, except the parts that have their own
// check.
absl::Status ValidateSpec(const TrainingSpec& s) {
  VIT_RETURN_IF_ERROR(ValidateOptimizerConfig(s.batch_size(), s.optimizer()));
  VIT_RETURN_IF_ERROR(ValidateScheduleConfig(s.schedule(), s.optimizer().learning_rate()));
  if (s.batch_size() % s.accumulation_steps() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("accumulation_steps ", s.accumulation_steps(),
                                                   " does not divide batch_size ", s.batch_size()));
  }
  const int top_k = s.evaluation().top_k(), classes = s.model().num_classes();
  if (top_k > classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "evaluation.top_k is ", top_k, "; expected at most ", classes, ", the number of classes"));
  }
  if (s.evaluation().best() == vit::v1::BEST_METRIC_TOP_K_ACCURACY && top_k == classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "evaluation.best is top_k_accuracy, which is always 1 at evaluation.top_k ", top_k, " of ",
        classes, " classes; set evaluation.top_k below that, or another evaluation.best"));
  }
  return absl::OkStatus();
}

// Resolves the run's length and checks it and the warmup against the data's size.
absl::Status ResolveLength(ResolvedSpec* resolved) {
  const TrainingSpec& spec = resolved->spec;
  const int64_t size = resolved->data->size(DataSplit::kTrain);
  if (spec.batch_size() > size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "batch_size ", spec.batch_size(), " exceeds the ", size, " training images of ",
        spec.data().source(), "; set batch_size to ", size, " or less"));
  }
  if (resolved->data->size(DataSplit::kValidation) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.data().source(),
                     " leaves no image for validation; give its classes more than one image "
                     "each, or add images for validation"));
  }
  resolved->steps_per_epoch = size / spec.batch_size();
  resolved->total_steps =
      spec.has_max_steps()
          ? spec.max_steps()
          : std::max<int64_t>(
                1, std::llround(spec.epochs() * static_cast<double>(resolved->steps_per_epoch)));
  VIT_RETURN_IF_ERROR(
      ValidateScheduleLength(spec.schedule(), resolved->steps_per_epoch, resolved->total_steps));
  return ValidateRecipeLength(spec, resolved->steps_per_epoch, resolved->total_steps);
}

SpecFacts MachineFacts(const TrainingEnvironment& environment) {
  return {.compute_threads = environment.budget.training_threads(),
          .loader_threads = environment.budget.loader_threads(),
          .least_bfloat16_width = environment.device.least_bfloat16_width()};
}

// Checks the model's number of classes against the data's.
absl::Status CheckClasses(const TrainingSpec& spec, const DataSet& data) {
  const int classes = static_cast<int>(data.class_names().size());
  // A run that began before this check existed continues to its end.
  if (classes == 1 && spec.data().listing_version() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.data().source(), " has only one class, '", data.class_names().front(),
                     "'; expected two or more, such as one folder per class"));
  }
  if (spec.model().num_classes() == classes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "model.num_classes is ", spec.model().num_classes(), ", but ", spec.data().source(), " has ",
      classes, " classes; remove model.num_classes, or set it to ", classes));
}

}  // namespace

absl::StatusOr<TrainingSpec> MergePreset(const std::string& preset, const TrainingSpec& spec) {
  VIT_RETURN_IF_ERROR(CheckEnums(spec));
  VIT_RETURN_IF_ERROR(CheckChoices(spec));
  const vit::v1::Preset* recipe = &vit::v1::Preset::default_instance();
  if (!preset.empty()) {
    VIT_ASSIGN_OR_RETURN(recipe, FindPreset(preset));
  }
  TrainingSpec merged = recipe->spec();
  MergeSpec(spec, &merged);
  if (merged.data().source().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.source is not set; name the images with --data, such as folder:/data/pets, "
        "cifar10:/data/cifar or shapes:",
        recipe->needs_data().empty()
            ? ""
            : absl::StrCat("; preset ", preset, " is for ", recipe->needs_data())));
  }
  return merged;
}

absl::StatusOr<std::shared_ptr<const DataSet>> OpenData(const TrainingEnvironment& environment,
                                                        TrainingSpec* spec) {
  FillDefaults(MachineFacts(environment), spec);
  VIT_RETURN_IF_ERROR(CheckRules(*spec));
  VIT_RETURN_IF_ERROR(ValidateDataConfig(spec->data()));
  VIT_RETURN_IF_ERROR(ValidateModelConfig(spec->model()));
  return DataSet::Open(spec->data(), {.data_roots = environment.data_roots,
                                      .limits = environment.image_limits,
                                      .image_size = spec->model().image_size()});
}

absl::StatusOr<ResolvedSpec> ResolveSpec(const TrainingSpec& spec,
                                         std::shared_ptr<const DataSet> data,
                                         const TrainingEnvironment& environment) {
  ResolvedSpec resolved{.spec = spec, .data = std::move(data)};
  TrainingSpec& effective = resolved.spec;
  SpecFacts facts = MachineFacts(environment);
  facts.class_count = static_cast<int>(resolved.data->class_names().size());
  facts.native_image_size = resolved.data->native_size();
  FillDefaults(facts, &effective);
  if (effective.init().empty()) effective.clear_init();
  if (effective.distillation().teacher().empty()) effective.clear_distillation();
  VIT_RETURN_IF_ERROR(CheckClasses(effective, *resolved.data));
  VIT_RETURN_IF_ERROR(CheckInputSize(effective.model(), effective.data().eval().image_size(),
                                     "data.eval.image_size"));
  VIT_RETURN_IF_ERROR(FillClassWeights(*resolved.data, effective.mutable_loss()));
  VIT_RETURN_IF_ERROR(CheckRules(effective));
  VIT_RETURN_IF_ERROR(ValidateSpec(effective));
  if (effective.precision() == vit::v1::PRECISION_BFLOAT16 && !environment.device.has_bfloat16()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "precision is bfloat16, which ", environment.device.model_name(),
        " does not support (CUDA devices do from compute capability 8 on); set it to float32"));
  }
  VIT_RETURN_IF_ERROR(ValidateRecipe(effective, facts.class_count));
  VIT_RETURN_IF_ERROR(ResolveLength(&resolved));
  resolved.parameter_count = ParameterCount(effective.model());
  return resolved;
}

}  // namespace vit
