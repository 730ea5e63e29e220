// Checkpoints on disk. Only for the rooms that compute.
//
// <run>/checkpoints/step-000001000/ is a model directory (model.safetensors, config.json,
// labels.txt) with optimizer.safetensors, state.json, spec.textproto, evaluation.json where its
// step was evaluated, and SHA256SUMS (as sha256sum -c reads it). It is written aside, fsynced and
// renamed, so a folder of that name is whole.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_H_
#define VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/train/checkpoint/train_state.h"
#include "core/train/optim/optimizer.h"
#include "core/weights/model_directory.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct Checkpoint {
  TrainState state;
  NamedTensors weights, optimizer;  // snapshots on the host
  ModelDescription description;
  vit::v1::TrainingSpec spec;
  std::optional<vit::v1::Evaluation> evaluation;  // of its step, if that was evaluated
};

// Writes it whole or not at all, under CheckpointPath. `before_rename` runs when all is written;
// its error drops the checkpoint.
absl::Status WriteCheckpoint(const std::filesystem::path& run_directory,
                             const Checkpoint& checkpoint,
                             const std::function<absl::Status()>& before_rename);

// DATA_LOSS, naming the file, where one is missing or its checksum does not hold.
absl::Status VerifyCheckpoint(const std::filesystem::path& directory);

// Renames a damaged checkpoint to "<directory>.damaged", where nothing looks for checkpoints.
absl::Status SetAsideCheckpoint(const std::filesystem::path& directory);

// Removes what was being written or removed when the program was killed.
absl::Status RemoveUnfinishedCheckpoints(const std::filesystem::path& run_directory);

// The effective spec under which it was written.
absl::StatusOr<vit::v1::TrainingSpec> ReadCheckpointSpec(const std::filesystem::path& directory);

// Removes all but the newest `keep_last`, the best and those that `keep` names.
absl::Status RemoveOldCheckpoints(const std::filesystem::path& run_directory, int keep_last,
                                  const std::function<bool(int64_t step)>& keep);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_H_
