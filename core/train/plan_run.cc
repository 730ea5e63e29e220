#include "core/train/plan_run.h"

#include <cstdint>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/loader/sample_reader.h"
#include "core/spec/presets.h"
#include "core/train/initial_weights.h"
#include "core/train/optim/trained_part.h"
#include "core/train/recipe/resolve_teacher.h"
#include "core/weights/model_directory.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::vit::v1::TrainingSpec;

// A preset that starts from weights needs them. If init is set to nothing, the weights are random
// all the same.
absl::Status CheckInit(const std::string& preset, const TrainingSpec& merged) {
  if (preset.empty() || merged.has_init()) return absl::OkStatus();
  VIT_ASSIGN_OR_RETURN(const vit::v1::Preset* recipe, FindPreset(preset));
  if (recipe->needs_init().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("preset ", preset, " starts from weights, but init is not set; set --init to ",
                   recipe->needs_init()));
}

// The part of a plan that needs neither weights nor an estimate.
absl::StatusOr<ResolvedSpec> Resolve(TrainingSpec merged, const TrainingEnvironment& environment) {
  VIT_ASSIGN_OR_RETURN(std::shared_ptr<const DataSet> data, OpenData(environment, &merged));
  return ResolveSpec(merged, std::move(data), environment);
}

absl::Status PinInit(const TrainingEnvironment& environment, const ExistingRun& run,
                     ResolvedSpec* plan) {
  TrainingSpec& spec = plan->spec;
  if (!spec.has_init() || run.has_checkpoint || KeepsInitialWeights(run.directory)) {
    return absl::OkStatus();
  }
  if (IsPrefixedModelRef(spec.init())) {
    VIT_ASSIGN_OR_RETURN(plan->models.init, PinModel("init", spec.init(), environment.models));
    spec.set_init(plan->models.init->ref.ToPrefixedString());
  }
  const ServableModel* pinned = plan->models.init.has_value() ? &*plan->models.init : nullptr;
  VIT_ASSIGN_OR_RETURN(const fs::path path,
                       FindInitialWeights(spec, run.directory, pinned, environment.data_roots));
  return ResolveInitialWeights(path, environment.data_roots, &spec);
}

// Adds the bytes of the teacher's weights to `bytes`.
absl::Status PinTeacher(const TrainingEnvironment& environment, const ExistingRun& run,
                        ResolvedSpec* plan, int64_t* bytes) {
  if (!plan->spec.has_distillation()) return absl::OkStatus();
  std::string* teacher = plan->spec.mutable_distillation()->mutable_teacher();
  fs::path directory = KeptTeacher(run.directory);
  if (run.directory.empty() || !fs::exists(directory)) {
    VIT_ASSIGN_OR_RETURN(plan->models.teacher,
                         PinModel("distillation.teacher", *teacher, environment.models));
    *teacher = plan->models.teacher->ref.ToPrefixedString();
    directory = plan->models.teacher->directory;
  }
  VIT_RETURN_IF_ERROR(CheckTeacher(*teacher, directory, plan->data->class_names()));
  std::error_code code;
  *bytes += static_cast<int64_t>(fs::file_size(directory / kWeightsFile, code));
  if (!code) return absl::OkStatus();
  return absl::ErrnoToStatus(code.value(), absl::StrCat("distillation.teacher ", *teacher));
}

absl::Status EstimateMemory(const TrainingEnvironment& environment, int64_t teacher_bytes,
                            ResolvedSpec* plan) {
  const TrainingSpec& spec = plan->spec;
  VIT_ASSIGN_OR_RETURN(const TrainedPart trained, FindTrainedPart(spec));
  const Device::Kind device = environment.device.kind();
  MemoryEstimate& memory = plan->estimated_memory;
  memory = EstimateTrainingMemory(
      spec, trained, EstimateCacheBytes(*plan->data, spec.data(), spec.model().image_size()),
      device);
  (device == Device::Kind::kCpu ? memory.host_bytes : memory.device_bytes) += teacher_bytes;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ResolvedSpec> PlanPreview(const std::string& preset, const TrainingSpec& spec,
                                         const TrainingEnvironment& environment) {
  VIT_ASSIGN_OR_RETURN(TrainingSpec merged, MergePreset(preset, spec));
  return Resolve(std::move(merged), environment);
}

absl::StatusOr<ResolvedSpec> PlanRun(const std::string& preset, const TrainingSpec& spec,
                                     const TrainingEnvironment& environment,
                                     const ExistingRun& run) {
  VIT_ASSIGN_OR_RETURN(TrainingSpec merged, MergePreset(preset, spec));
  VIT_RETURN_IF_ERROR(CheckInit(preset, merged));
  VIT_ASSIGN_OR_RETURN(ResolvedSpec plan, Resolve(std::move(merged), environment));
  if (plan.spec.has_distillation()) VIT_RETURN_IF_ERROR(ValidateDistillation(plan.spec));
  int64_t teacher_bytes = 0;
  VIT_RETURN_IF_ERROR(PinInit(environment, run, &plan));
  VIT_RETURN_IF_ERROR(PinTeacher(environment, run, &plan, &teacher_bytes));
  VIT_RETURN_IF_ERROR(EstimateMemory(environment, teacher_bytes, &plan));
  return plan;
}

absl::Status KeepModels(const ResolvedSpec& plan, const fs::path& run_directory) {
  if (plan.models.init.has_value()) {
    VIT_RETURN_IF_ERROR(KeepInitialWeights(*plan.models.init, run_directory));
  }
  if (!plan.models.teacher.has_value()) return absl::OkStatus();
  return KeepTeacher(*plan.models.teacher, run_directory);
}

}  // namespace vit
