// Which checkpoint is the best so far, and whether a run still improves.
#ifndef VIT_CORE_TRAIN_EVALUATION_BEST_CHECKPOINT_H_
#define VIT_CORE_TRAIN_EVALUATION_BEST_CHECKPOINT_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/train/checkpoint/train_state.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Updates `state` with the evaluation of its step: the best so far, and early stopping.
void KeepBest(const vit::v1::Evaluation& evaluation, const vit::v1::TrainingSpec& spec,
              TrainState* state);

// Whether early stopping ends the run here.
bool NoLongerImproves(const TrainState& state, const vit::v1::TrainingSpec& spec);

// Carries the best so far over to a run that is resumed with another evaluation.best than the
// checkpoint of `state` was written under: takes its value from its checkpoint's evaluation. If
// that has none, the next evaluation counts as the best, and a note says so.
absl::Status CarryBestOver(const std::filesystem::path& run_directory,
                           const vit::v1::EvaluationConfig& config, TrainState* state,
                           std::vector<std::string>* notes);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_EVALUATION_BEST_CHECKPOINT_H_
