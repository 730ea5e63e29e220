// From what a person wrote to an effective specification.
#ifndef VIT_CORE_TRAIN_RESOLVE_SPEC_H_
#define VIT_CORE_TRAIN_RESOLVE_SPEC_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/device.h"
#include "core/data/dataset.h"
#include "core/train/memory_estimate.h"
#include "vit/v1/training.pb.h"

namespace vit {

// What "model:NAME" means in TrainingSpec.init or for a teacher.
struct InitialModel {
  std::string reference;  // NAME@VERSION
  std::filesystem::path directory;
};

// Where a specification will run.
struct TrainingEnvironment {
  Device device = Device::Cpu();
  ComputeBudget budget;
  std::vector<std::string> data_roots;
  ImageLimits image_limits;
  // Folder of the checkpoint that "run:ID" in TrainingSpec.init means: the run's best, else its
  // last.
  std::function<absl::StatusOr<std::string>(const std::string& run)> find_checkpoint;
  // The version of the repository that NAME or NAME@VERSION means now.
  std::function<absl::StatusOr<InitialModel>(const std::string& reference)> find_model;
  // Of a run whose effective spec is resolved again: its folder, which keeps its teacher. Empty for
  // a new run.
  std::filesystem::path run_directory;
};

// A specification with every default filled in, and what follows from it.
struct ResolvedSpec {
  vit::v1::TrainingSpec spec;
  std::shared_ptr<const DataSet> data;
  int64_t parameter_count = 0;
  MemoryEstimate estimated_memory;
  int64_t steps_per_epoch = 0;
  int64_t total_steps = 0;
};

// Merges `preset` (empty for none) and `spec`, fills in defaults, and checks everything that can be
// checked without allocating the model: INVALID_ARGUMENT names the field, NOT_FOUND the preset
// (with the nearest name), data or init, PERMISSION_DENIED a path outside the data roots. An
// effective spec resolves to itself. Reads the source's listing, which can take seconds for a large
// folder.
absl::StatusOr<ResolvedSpec> ResolveSpec(const std::string& preset,
                                         const vit::v1::TrainingSpec& spec,
                                         const TrainingEnvironment& environment);

// Every preset, compiled in, sorted by name; without training_memory_bytes.
const std::vector<vit::v1::Preset>& AllPresets();

// training_memory_bytes of a preset of AllPresets; `batch_size` as in ListPresetsRequest.
int64_t PresetTrainingMemory(const vit::v1::Preset& preset, int batch_size);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RESOLVE_SPEC_H_
