// Information about a run's checkpoints, read without their tensors.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_INFO_H_
#define VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_INFO_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Exists if the step of the checkpoint was evaluated.
inline constexpr char kEvaluationFile[] = "evaluation.json";

// Lists the complete checkpoints in a run's folder, by ascending step. Cheap: checksums are
// verified only when a checkpoint is loaded. Skips those that cannot be parsed.
std::vector<vit::v1::CheckpointInfo> ListCheckpoints(const std::filesystem::path& run_directory);

// Reads how the step of a checkpoint was evaluated. NOT_FOUND if it was not, DATA_LOSS if the file
// is damaged.
absl::StatusOr<vit::v1::Evaluation> ReadEvaluation(const std::filesystem::path& checkpoint);

// Returns run_directory/checkpoints/step-000001000.
std::filesystem::path CheckpointPath(const std::filesystem::path& run_directory, int64_t step);

// Returns the steps that have a checkpoint folder, ascending, regardless of its contents.
std::vector<int64_t> CheckpointSteps(const std::filesystem::path& run_directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_INFO_H_
