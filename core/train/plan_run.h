// Settles everything before a run starts: its spec, its data, the weights that it names, the memory
// that it needs.
#ifndef VIT_CORE_TRAIN_PLAN_RUN_H_
#define VIT_CORE_TRAIN_PLAN_RUN_H_

#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "core/train/resolve_spec.h"
#include "vit/v1/training.pb.h"

namespace vit {

// A run that exists already.
struct ExistingRun {
  // Its folder, which keeps the weights that it needs; empty for a new run.
  std::filesystem::path directory;
  // Whether it continues from a checkpoint and so no longer needs the weights that init names.
  bool has_checkpoint = false;
};

// Merges `preset` and `spec`, opens the data, resolves the spec, finds the models that it names
// (replacing "run:NAME" by "run:ID@STEP" and "model:NAME" by "model:NAME@VERSION", so that the run
// can be repeated) and estimates the memory. Checks everything that can be checked without
// allocating the model. Returns the statuses of MergePreset, OpenData, ResolveSpec, PinModel and
// ResolveInitialWeights.
absl::StatusOr<ResolvedSpec> PlanRun(const std::string& preset, const vit::v1::TrainingSpec& spec,
                                     const TrainingEnvironment& environment,
                                     const ExistingRun& run = {});

// Does the part of PlanRun that determines what training sees: neither weights nor memory.
absl::StatusOr<ResolvedSpec> PlanPreview(const std::string& preset,
                                         const vit::v1::TrainingSpec& spec,
                                         const TrainingEnvironment& environment);

// Keeps the models of `plan` in the folder of the new run.
absl::Status KeepModels(const ResolvedSpec& plan, const std::filesystem::path& run_directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_PLAN_RUN_H_
