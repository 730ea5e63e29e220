// Turns a user's specification into one that a run can follow, step by step.
#ifndef VIT_CORE_TRAIN_RESOLVE_SPEC_H_
#define VIT_CORE_TRAIN_RESOLVE_SPEC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/device.h"
#include "core/base/compute/serving_objective.h"
#include "core/data/dataset.h"
#include "core/models/servable_model.h"
#include "core/train/memory_estimate.h"
#include "core/train/pin_model.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Where a specification will run.
struct TrainingEnvironment {
  Device device = Device::Cpu();
  ComputeBudget budget;
  std::vector<std::string> data_roots;
  ImageLimits image_limits;
  // The models that init and distillation.teacher may name; null if there are none.
  ModelSource* models = nullptr;
  // What training gives way to; null if nothing is served.
  ServingObjective* serving_objective = nullptr;
};

// A specification with every default filled in, and what follows from it.
struct ResolvedSpec {
  vit::v1::TrainingSpec spec;
  std::shared_ptr<const DataSet> data;
  int64_t parameter_count = 0;
  int64_t steps_per_epoch = 0;
  int64_t total_steps = 0;
  // Added by PlanRun.
  PinnedModels models;
  MemoryEstimate estimated_memory;
};

// Merges `preset` (empty for none) and `spec`. INVALID_ARGUMENT names a field, NOT_FOUND the preset
// (and the nearest name).
absl::StatusOr<vit::v1::TrainingSpec> MergePreset(const std::string& preset,
                                                  const vit::v1::TrainingSpec& spec);

// Fills in the defaults that do not depend on the data, checks what can be checked without it, and
// opens it: reads the source's listing, which can take seconds for a large folder. NOT_FOUND names
// the data, PERMISSION_DENIED a path outside the data roots.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenData(const TrainingEnvironment& environment,
                                                        vit::v1::TrainingSpec* spec);

// Fills in the remaining defaults and checks everything but the weights that the spec names. Reads
// no files. An effective spec resolves to itself.
absl::StatusOr<ResolvedSpec> ResolveSpec(const vit::v1::TrainingSpec& spec,
                                         std::shared_ptr<const DataSet> data,
                                         const TrainingEnvironment& environment);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RESOLVE_SPEC_H_
