// Checkpoints on disk.
//
// <run>/checkpoints/step-000001000/ is a model directory (model.safetensors, config.json,
// labels.txt) with optimizer.safetensors, state.json, spec.textproto, evaluation.json if its step
// was evaluated, and SHA256SUMS (as sha256sum -c reads it). It is written under a temporary name,
// fsynced and renamed, so a folder of that name is complete.
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
  std::optional<vit::v1::Evaluation> evaluation;  // if its step was evaluated
};

// Writes `checkpoint` to CheckpointPath, completely or not at all. `before_rename` runs when
// everything is written; if it fails, the checkpoint is dropped.
absl::Status WriteCheckpoint(const std::filesystem::path& run_directory,
                             const Checkpoint& checkpoint,
                             const std::function<absl::Status()>& before_rename);

// Verifies the checksums. DATA_LOSS names a file that is missing or whose checksum is wrong.
absl::Status VerifyCheckpoint(const std::filesystem::path& directory);

// Renames a damaged checkpoint to "<directory>.damaged", which is not read as a checkpoint.
absl::Status SetAsideCheckpoint(const std::filesystem::path& directory);

// Returns the newest checkpoint whose checksums are right, if there is one. Sets newer, damaged
// ones aside, with a note for each.
absl::StatusOr<std::optional<std::filesystem::path>> NewestSoundCheckpoint(
    const std::filesystem::path& run_directory, std::vector<std::string>* notes);

// Removes checkpoints that were only partly written or removed when the program was killed.
absl::Status RemoveUnfinishedCheckpoints(const std::filesystem::path& run_directory);

// Reads the effective spec under which the checkpoint was written.
absl::StatusOr<vit::v1::TrainingSpec> ReadCheckpointSpec(const std::filesystem::path& directory);

// Removes all checkpoints but the newest `keep_last`, the best one and those for which `keep` is
// true.
absl::Status RemoveOldCheckpoints(const std::filesystem::path& run_directory, int keep_last,
                                  const std::function<bool(int64_t step)>& keep);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_H_
