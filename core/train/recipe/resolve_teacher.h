// Checks the model that a run learns from, and keeps its files for the run.
#ifndef VIT_CORE_TRAIN_RECIPE_RESOLVE_TEACHER_H_
#define VIT_CORE_TRAIN_RECIPE_RESOLVE_TEACHER_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/models/servable_model.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Checks the distillation of an effective `spec` that names a teacher, without reading the teacher.
absl::Status ValidateDistillation(const vit::v1::TrainingSpec& spec);

// Checks that the model in `directory` has the `classes` of the data, in the same order.
// INVALID_ARGUMENT names the first that differs.
absl::Status CheckTeacher(const std::string& teacher, const std::filesystem::path& directory,
                          const std::vector<std::string>& classes);

// Returns where a run keeps its teacher.
std::filesystem::path KeptTeacher(const std::filesystem::path& run_directory);

// Keeps the teacher there (as hard links), so that the run does not need the original any more.
absl::Status KeepTeacher(const ServableModel& teacher, const std::filesystem::path& run_directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_RESOLVE_TEACHER_H_
