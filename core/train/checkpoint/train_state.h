// Where a run stands, as its checkpoint's state.json keeps it.
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

inline constexpr char kStateFile[] = "state.json";

// Writes state.json into the folder of a checkpoint, fsynced.
absl::Status WriteTrainState(const std::filesystem::path& directory, const TrainState& state);

// DATA_LOSS for a file that cannot be understood, FAILED_PRECONDITION for one of a newer vitd.
absl::StatusOr<TrainState> ReadTrainState(const std::filesystem::path& directory);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_CHECKPOINT_TRAIN_STATE_H_
