// Which model a run learns from, and how: defaults, checks, and where its files are.
#ifndef VIT_CORE_TRAIN_RECIPE_DISTILLATION_CONFIG_H_
#define VIT_CORE_TRAIN_RECIPE_DISTILLATION_CONFIG_H_

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "core/train/resolve_spec.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Fills in `spec`'s distillation, pins the teacher and checks it; nothing where it names none.
// Returns the bytes of its weights. INVALID_ARGUMENT where a field has no use or the teacher's
// classes are not the data's; statuses of PinReference.
absl::StatusOr<int64_t> ResolveTeacher(const TrainingEnvironment& environment, const DataSet& data,
                                       vit::v1::TrainingSpec* spec);

// Keeps the teacher of `spec` (effective) in the run's folder (hard links): its deletion no longer
// matters to the run. Nothing where there is none.
absl::Status KeepTeacher(const vit::v1::TrainingSpec& spec, const TrainingEnvironment& environment,
                         const std::filesystem::path& run_directory);

// The model directory of the teacher of `spec` (effective, and there is one), as `run_directory`
// (may be empty) keeps it if it does.
absl::StatusOr<std::filesystem::path> TeacherDirectory(const vit::v1::TrainingSpec& spec,
                                                       const TrainingEnvironment& environment,
                                                       const std::filesystem::path& run_directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_DISTILLATION_CONFIG_H_
