// The state of a run, as its checkpoint's state.json stores it.
#ifndef VIT_CORE_TRAIN_CHECKPOINT_TRAIN_STATE_H_
#define VIT_CORE_TRAIN_CHECKPOINT_TRAIN_STATE_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace vit {

// What a checkpoint stores besides tensors.
struct TrainState {
  int64_t step = 0;
  // The step's validation results, if it was evaluated.
  std::optional<double> accuracy, loss;
  // The best step so far and its results.
  std::optional<int64_t> best_step;
  double best_accuracy = 0, best_loss = 0;
  // Its value of evaluation.best; older checkpoints store only accuracy and loss.
  std::optional<double> best_value;
  // Early stopping: the value that counts as the last improvement, and the evaluations since.
  std::optional<double> improved_value;
  int evaluations_since_improved = 0;
  // Whether the evaluation of this step is still due.
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

inline constexpr char kStateFile[] = "state.json";

// Writes state.json into the folder of a checkpoint and fsyncs it.
absl::Status WriteTrainState(const std::filesystem::path& directory, const TrainState& state);

// Reads state.json. DATA_LOSS if it cannot be parsed, FAILED_PRECONDITION if a newer vitd wrote it.
absl::StatusOr<TrainState> ReadTrainState(const std::filesystem::path& directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_TRAIN_STATE_H_
