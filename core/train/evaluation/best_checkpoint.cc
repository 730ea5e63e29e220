#include "core/train/evaluation/best_checkpoint.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/train/checkpoint/checkpoint.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/evaluation/evaluation_report.h"

namespace vit {

void KeepBest(const vit::v1::Evaluation& evaluation, const vit::v1::TrainingSpec& spec,
              TrainState* state) {
  const vit::v1::BestMetric best = spec.evaluation().best();
  const double value = BestValue(evaluation, best);
  const double sign = LowerIsBetter(best) ? -1 : 1;
  const double best_value = state->best_value.value_or(
      best == vit::v1::BEST_METRIC_LOSS ? state->best_loss : state->best_accuracy);
  if (!state->best_step || sign * value > sign * best_value) {
    state->best_step = state->step;
    state->best_accuracy = evaluation.accuracy();
    state->best_loss = evaluation.loss();
    state->best_value = value;
  }
  const auto& stopping = spec.early_stopping();
  if (stopping.patience() == 0) return;
  ++state->evaluations_since_improved;
  if (!state->improved_value ||
      sign * (value - *state->improved_value) > stopping.min_improvement()) {
    state->improved_value = value;
    state->evaluations_since_improved = 0;
  }
}

bool NoLongerImproves(const TrainState& state, const vit::v1::TrainingSpec& spec) {
  const int patience = spec.early_stopping().patience();
  return patience > 0 && state.evaluations_since_improved >= patience;
}

absl::Status CarryBestOver(const std::filesystem::path& run_directory,
                           const vit::v1::EvaluationConfig& config, TrainState* state,
                           std::vector<std::string>* notes) {
  VIT_ASSIGN_OR_RETURN(const vit::v1::TrainingSpec then,
                       ReadCheckpointSpec(CheckpointPath(run_directory, state->step)));
  if (!state->best_step || SameMeasure(then.evaluation(), config)) {
    return absl::OkStatus();
  }
  state->improved_value.reset();
  state->evaluations_since_improved = 0;
  const int64_t step = *state->best_step;
  const absl::StatusOr<vit::v1::Evaluation> evaluation =
      ReadEvaluation(CheckpointPath(run_directory, step));
  const bool known = evaluation.ok() && (config.best() != vit::v1::BEST_METRIC_TOP_K_ACCURACY ||
                                         evaluation->metrics().top_k() == config.top_k());
  if (known) {
    state->best_value = BestValue(*evaluation, config.best());
  } else {
    state->best_step.reset();
    state->best_value.reset();
    notes->push_back(absl::StrCat("the best checkpoint so far, of step ", step,
                                  ", has no value for the new evaluation.best: the next "
                                  "evaluation counts as the best"));
  }
  return absl::OkStatus();
}

}  // namespace vit
