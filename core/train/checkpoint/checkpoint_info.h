// What is known of a run's checkpoints without their tensors.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_INFO_H_
#define VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_INFO_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "absl/status/statusor.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Of a checkpoint whose step was evaluated.
inline constexpr char kEvaluationFile[] = "evaluation.json";

// The complete checkpoints in a run's folder, by ascending step. Cheap: checksums are verified when
// one is loaded. One that cannot be understood is skipped.
std::vector<vit::v1::CheckpointInfo> ListCheckpoints(const std::filesystem::path& run_directory);

// What a checkpoint's folder knows of how its step was evaluated. NOT_FOUND where that is nothing,
// DATA_LOSS where it is damaged.
absl::StatusOr<vit::v1::Evaluation> ReadEvaluation(const std::filesystem::path& checkpoint);

// directory/checkpoints/step-000001000
std::filesystem::path CheckpointPath(const std::filesystem::path& run_directory, int64_t step);

// The steps that have a folder of their name, ascending, whatever is in it.
std::vector<int64_t> CheckpointSteps(const std::filesystem::path& run_directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_INFO_H_
