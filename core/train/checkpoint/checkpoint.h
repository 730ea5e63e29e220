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
#include "absl/time/time.h"
#include "core/train/optim/optimizer.h"
#include "core/weights/model_directory.h"
#include "vit/v1/training.pb.h"

namespace vit {

// What a checkpoint knows besides tensors.
struct TrainState {
  int64_t step = 0;
  // The step's validation results, where it was evaluated.
  std::optional<double> accuracy, loss;
  // The best step so far and its results.
  std::optional<int64_t> best_step;
  double best_accuracy = 0, best_loss = 0;
  // What evaluation.best says of it; older checkpoints know accuracy and loss only.
  std::optional<double> best_value;
  // Early stopping: the value that counts as the last improvement, and the evaluations since.
  std::optional<double> improved_value;
  int evaluations_since_improved = 0;
  // Whether this step is due to be evaluated but was not yet.
  bool evaluation_due = false;
  // Sums since the last point of the history.
  double loss_sum = 0;
  int64_t correct = 0, samples = 0;
  // What exact continuation depends on.
  std::string data_fingerprint, device_model, torch_version;
  int arithmetic = 0;  // kArithmetic of training_step.h
  int compute_threads = 0;
  absl::Time time;
};

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

// The steps that have a folder of their name, ascending, whatever is in it.
std::vector<int64_t> CheckpointSteps(const std::filesystem::path& run_directory);

// DATA_LOSS, naming the file, where one is missing or its checksum does not hold.
absl::Status VerifyCheckpoint(const std::filesystem::path& directory);

// Renames a damaged checkpoint to "<directory>.damaged", where nothing looks for checkpoints.
absl::Status SetAsideCheckpoint(const std::filesystem::path& directory);

// Removes what was being written or removed when the program was killed.
absl::Status RemoveUnfinishedCheckpoints(const std::filesystem::path& run_directory);

absl::StatusOr<TrainState> ReadTrainState(const std::filesystem::path& directory);
// The effective spec under which it was written.
absl::StatusOr<vit::v1::TrainingSpec> ReadCheckpointSpec(const std::filesystem::path& directory);

// Removes all but the newest `keep_last`, the best and those that `keep` names.
absl::Status RemoveOldCheckpoints(const std::filesystem::path& run_directory, int keep_last,
                                  const std::function<bool(int64_t step)>& keep);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_CHECKPOINT_H_
