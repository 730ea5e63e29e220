#include "core/train/resolve_spec.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/data/loader/loader.h"
#include "core/model/model_config.h"
#include "core/train/initial_weights.h"
#include "core/train/memory_estimate.h"
#include "core/train/merge_spec.h"
#include "core/train/optim/optimizer_config.h"
#include "core/train/optim/schedule_config.h"
#include "core/train/optim/trained_part.h"
#include "core/train/recipe/distillation_config.h"
#include "core/train/recipe/recipe_config.h"
#include "core/train/spec_fields.h"
#include "core/train/trainer.h"
#include "core/train/weight_reference.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using ::vit::v1::TrainingSpec;

absl::StatusOr<const vit::v1::Preset*> FindPreset(const std::string& name) {
  std::vector<std::string> names;
  for (const vit::v1::Preset& preset : AllPresets()) {
    if (preset.name() == name) return &preset;
    names.push_back(preset.name());
  }
  const std::string nearest = NearestName(name, names);
  return absl::NotFoundError(absl::StrCat("no preset '", name, "'",
                                          nearest.empty()
                                              ? "; vitctl presets lists them"
                                              : absl::StrCat("; did you mean '", nearest, "'?")));
}

// Narrow matrix products lose more by bfloat16's conversions than they gain: on an AMD EPYC with
// AVX512-BF16 a CIFAR-10 ViT trains at 390 images/s in bfloat16 and 660 in float32 at width 96, 219
// and 224 at 192, 81 and 62 at 384.
bool TrainsFasterInBfloat16(const Device& device, const vit::v1::ModelConfig& model) {
  constexpr int kLeastCpuWidth = 256;
  return device.has_fast_bfloat16() &&
         (device.kind() == Device::Kind::kCuda || model.embed_dim() >= kLeastCpuWidth);
}

void FillDefaults(const TrainingEnvironment& environment, TrainingSpec* s) {
  using S = TrainingSpec;
  Fill(s->has_batch_size(), s, &S::set_batch_size, 128);
  FillOptimizerDefaults(s->batch_size(), s->mutable_optimizer());
  FillScheduleDefaults(s->mutable_schedule());
  Fill(s->has_accumulation_steps(), s, &S::set_accumulation_steps, 1);
  if (!s->has_max_steps()) Fill(s->has_epochs(), s, &S::set_epochs, 10);
  Fill(s->has_label_smoothing(), s, &S::set_label_smoothing, 0);
  Fill(s->has_clip_grad_norm(), s, &S::set_clip_grad_norm, 1);
  Fill(s->has_precision(), s, &S::set_precision,
       TrainsFasterInBfloat16(environment.device, s->model()) ? vit::v1::PRECISION_BFLOAT16
                                                              : vit::v1::PRECISION_FLOAT32);
  if (!s->has_seed()) {
    std::random_device device;
    s->set_seed(uint64_t{device()} << 32 | device());
  }
  Fill(s->has_allow_tf32(), s, &S::set_allow_tf32, false);
  Fill(s->has_deterministic(), s, &S::set_deterministic, false);
  auto* evaluation = s->mutable_evaluation();
  Fill(evaluation->has_every_steps(), evaluation, &vit::v1::EvaluationConfig::set_every_steps, 0);
  Fill(evaluation->has_batch_size(), evaluation, &vit::v1::EvaluationConfig::set_batch_size,
       s->batch_size());
  Fill(evaluation->has_best(), evaluation, &vit::v1::EvaluationConfig::set_best,
       vit::v1::BEST_METRIC_ACCURACY);
  Fill(evaluation->has_top_k(), evaluation, &vit::v1::EvaluationConfig::set_top_k,
       std::min(5, s->model().num_classes()));
  auto* checkpoint = s->mutable_checkpoint();
  Fill(checkpoint->has_every_steps(), checkpoint, &vit::v1::CheckpointConfig::set_every_steps, 500);
  Fill(checkpoint->has_keep_last(), checkpoint, &vit::v1::CheckpointConfig::set_keep_last, 2);
  Fill(s->has_compute_threads(), s, &S::set_compute_threads, environment.budget.training_threads());
  Fill(s->has_log_every_steps(), s, &S::set_log_every_steps, 20);
}

// Fields that exclude each other, in what one person wrote.
absl::Status ValidateExclusive(const TrainingSpec& spec) {
  if (spec.has_epochs() && spec.has_max_steps()) {
    return absl::InvalidArgumentError(
        "epochs and max_steps are both set; set the one that gives the run's length");
  }
  return CheckScheduleChoices(spec.schedule());
}

// Checks an effective spec, apart from model and data, which have their own.
absl::Status ValidateSpec(const TrainingSpec& s) {
  VIT_RETURN_IF_ERROR(ValidateExclusive(s));
  VIT_RETURN_IF_ERROR(ValidateOptimizerConfig(s.batch_size(), s.optimizer()));
  const auto at_least = [](absl::string_view field, int64_t value, int64_t low, int64_t high) {
    return value >= low && value <= high
               ? absl::OkStatus()
               : BadField(field, static_cast<double>(value), absl::StrCat(low, " to ", high));
  };
  constexpr int64_t kMaxSteps = 1'000'000'000;
  VIT_RETURN_IF_ERROR(at_least("batch_size", s.batch_size(), 1, 1 << 20));
  VIT_RETURN_IF_ERROR(at_least("accumulation_steps", s.accumulation_steps(), 1, s.batch_size()));
  if (s.batch_size() % s.accumulation_steps() != 0) {
    return absl::InvalidArgumentError(absl::StrCat("accumulation_steps ", s.accumulation_steps(),
                                                   " does not divide batch_size ", s.batch_size()));
  }
  if (s.has_max_steps()) VIT_RETURN_IF_ERROR(at_least("max_steps", s.max_steps(), 1, kMaxSteps));
  if (s.has_epochs() && !(s.epochs() > 0 && s.epochs() <= 1e6))
    return BadField("epochs", s.epochs(), "above 0, at most 1000000");
  if (!(s.label_smoothing() >= 0 && s.label_smoothing() < 1)) {
    return BadField("label_smoothing", s.label_smoothing(), "at least 0 and below 1");
  }
  if (!(s.clip_grad_norm() >= 0 && std::isfinite(s.clip_grad_norm()))) {
    return BadField("clip_grad_norm", s.clip_grad_norm(), "at least 0 (0 does not clip)");
  }
  VIT_RETURN_IF_ERROR(ValidateScheduleConfig(s.schedule(), s.optimizer().learning_rate()));
  VIT_RETURN_IF_ERROR(
      at_least("evaluation.every_steps", s.evaluation().every_steps(), 0, kMaxSteps));
  VIT_RETURN_IF_ERROR(at_least("evaluation.batch_size", s.evaluation().batch_size(), 1, 1 << 20));
  VIT_RETURN_IF_ERROR(
      at_least("evaluation.top_k", s.evaluation().top_k(), 1, s.model().num_classes()));
  if (s.evaluation().best() == vit::v1::BEST_METRIC_TOP_K_ACCURACY &&
      s.evaluation().top_k() == s.model().num_classes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("evaluation.best is top_k_accuracy, which is always 1 at evaluation.top_k ",
                     s.evaluation().top_k(), " of ", s.model().num_classes(),
                     " classes; set evaluation.top_k below that, or another evaluation.best"));
  }
  VIT_RETURN_IF_ERROR(
      at_least("checkpoint.every_steps", s.checkpoint().every_steps(), 0, kMaxSteps));
  VIT_RETURN_IF_ERROR(at_least("checkpoint.keep_last", s.checkpoint().keep_last(), 1, 1'000'000));
  VIT_RETURN_IF_ERROR(at_least("compute_threads", s.compute_threads(), 1, 4096));
  return at_least("log_every_steps", s.log_every_steps(), 1, kMaxSteps);
}

// Length and warmup against the data's size.
absl::Status ResolveLength(ResolvedSpec* resolved) {
  const TrainingSpec& spec = resolved->spec;
  const int64_t size = resolved->data->size(DataSplit::kTrain);
  if (spec.batch_size() > size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "batch_size ", spec.batch_size(), " exceeds the ", size, " training pictures of ",
        spec.data().source(), "; set batch_size to ", size, " or less"));
  }
  if (resolved->data->size(DataSplit::kValidation) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.data().source(),
                     " leaves no picture for validation; give its classes more than one picture "
                     "each, or add pictures for validation"));
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

absl::Status ResolveInit(const TrainingEnvironment& environment, TrainingSpec* spec) {
  if (spec->init().empty()) {
    for (const auto& [set, field] : {std::pair{spec->has_init_prefix(), "init_prefix"},
                                     std::pair{spec->has_init_weights(), "init_weights"}}) {
      if (set) {
        return absl::InvalidArgumentError(absl::StrCat(
            field, " is set without init, whose file it is about; name that with --init"));
      }
    }
    spec->clear_init();
    return absl::OkStatus();
  }
  VIT_ASSIGN_OR_RETURN(*spec->mutable_init(), PinReference("init", spec->init(), environment));
  return ResolveInitialWeights(environment, spec);
}

}  // namespace

absl::StatusOr<ResolvedSpec> ResolveSpec(const std::string& preset, const TrainingSpec& spec,
                                         const TrainingEnvironment& environment) {
  ResolvedSpec resolved;
  TrainingSpec& effective = resolved.spec;
  VIT_RETURN_IF_ERROR(CheckEnums(spec));
  VIT_RETURN_IF_ERROR(ValidateExclusive(spec));
  const vit::v1::Preset* recipe = &vit::v1::Preset::default_instance();
  if (!preset.empty()) {
    VIT_ASSIGN_OR_RETURN(recipe, FindPreset(preset));
  }
  effective = recipe->spec();
  MergeSpec(spec, &effective);

  if (effective.data().source().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.source is not set; name the pictures with --data, such as folder:/data/pets, "
        "cifar10:/data/cifar or shapes:",
        recipe->needs_data().empty()
            ? ""
            : absl::StrCat("; preset ", preset, " is for ", recipe->needs_data())));
  }
  // Set to nothing, init says that the weights are to be random all the same.
  if (!recipe->needs_init().empty() && !effective.has_init()) {
    return absl::InvalidArgumentError(
        absl::StrCat("preset ", preset, " starts from weights, and init is not set: --init wants ",
                     recipe->needs_init()));
  }
  VIT_RETURN_IF_ERROR(ValidateDataConfig(effective.data()));
  vit::v1::ModelConfig* model = effective.mutable_model();
  // What the data needs of the model is its input size; the class count goes the other way.
  vit::v1::ModelConfig provisional = *model;
  FillModelConfigDefaults(2, &provisional);
  VIT_RETURN_IF_ERROR(ValidateModelConfig(provisional));
  VIT_ASSIGN_OR_RETURN(resolved.data,
                       DataSet::Open(effective.data(), {.data_roots = environment.data_roots,
                                                        .limits = environment.image_limits,
                                                        .image_size = provisional.image_size()}));
  const int classes = static_cast<int>(resolved.data->class_names().size());
  // A run that began before this was checked goes on to its end.
  if (classes == 1 && ListingVersion(effective.data()) > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        effective.data().source(), " has one class alone, '", resolved.data->class_names().front(),
        "', so there is nothing to tell apart; expected two "
        "or more, such as a folder for each"));
  }
  FillModelConfigDefaults(classes, model);
  VIT_RETURN_IF_ERROR(ValidateModelConfig(*model));
  if (model->num_classes() != classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model.num_classes is ", model->num_classes(), ", but ", effective.data().source(), " has ",
        classes, " classes; leave model.num_classes out, or set it to ", classes));
  }
  FillDataConfigDefaults(*resolved.data, model->image_size(), environment.budget.loader_threads(),
                         effective.mutable_data());
  VIT_RETURN_IF_ERROR(
      CheckInputSize(*model, effective.data().eval().image_size(), "data.eval.image_size"));
  FillDefaults(environment, &effective);
  VIT_RETURN_IF_ERROR(FillRecipeDefaults(*resolved.data, &effective));
  VIT_RETURN_IF_ERROR(ValidateSpec(effective));
  if (effective.precision() == vit::v1::PRECISION_BFLOAT16 && !environment.device.has_bfloat16()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "precision is bfloat16, which ", environment.device.model_name(),
        " cannot compute (CUDA devices do from compute capability 8 on); set it to float32"));
  }
  VIT_RETURN_IF_ERROR(ValidateRecipe(effective, *resolved.data));
  VIT_RETURN_IF_ERROR(ResolveLength(&resolved));
  VIT_RETURN_IF_ERROR(ResolveInit(environment, &effective));
  VIT_ASSIGN_OR_RETURN(const int64_t teacher_bytes,
                       ResolveTeacher(environment, *resolved.data, &effective));
  VIT_ASSIGN_OR_RETURN(const TrainedPart trained, FindTrainedPart(effective));
  resolved.parameter_count = ParameterCount(*model);
  const Device::Kind device = environment.device.kind();
  MemoryEstimate& memory = resolved.estimated_memory;
  memory = EstimateTrainingMemory(
      effective, trained, EstimateCacheBytes(*resolved.data, effective.data(), model->image_size()),
      device);
  (device == Device::Kind::kCpu ? memory.host_bytes : memory.device_bytes) += teacher_bytes;
  return resolved;
}

}  // namespace vit
