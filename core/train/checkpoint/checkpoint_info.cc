#include "core/train/checkpoint/checkpoint_info.h"

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/checksums.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/train/checkpoint/train_state.h"
#include "proto/message_json.h"
#include "proto/time.h"

namespace vit {

namespace fs = std::filesystem;

fs::path CheckpointPath(const fs::path& run_directory, int64_t step) {
  return run_directory / "checkpoints" / absl::StrFormat("step-%09d", step);
}

std::vector<int64_t> CheckpointSteps(const fs::path& run_directory) {
  std::vector<int64_t> steps;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run_directory / "checkpoints", code)) {
    const std::string name = entry.path().filename().string();
    int64_t step;
    if (absl::StartsWith(name, "step-") && absl::SimpleAtoi(name.substr(5), &step) &&
        entry.path() == CheckpointPath(run_directory, step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

absl::StatusOr<vit::v1::Evaluation> ReadEvaluation(const fs::path& checkpoint) {
  constexpr int64_t kMaxEvaluationBytes = 64 << 20;
  const fs::path path = checkpoint / kEvaluationFile;
  std::error_code code;
  if (!fs::exists(path, code)) {
    return absl::NotFoundError(absl::StrCat(checkpoint.string(), " holds no evaluation"));
  }
  VIT_RETURN_IF_ERROR(VerifyChecksums(checkpoint, {kEvaluationFile}));
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxEvaluationBytes));
  vit::v1::Evaluation evaluation;
  VIT_RETURN_IF_ERROR(Annotate(MessageFromJson(text, &evaluation), path.string()));
  return evaluation;
}

std::vector<vit::v1::CheckpointInfo> ListCheckpoints(const fs::path& run_directory) {
  std::vector<vit::v1::CheckpointInfo> checkpoints;
  std::vector<std::optional<int64_t>> best;  // the best step so far, according to each
  for (const int64_t step : CheckpointSteps(run_directory)) {
    const absl::StatusOr<TrainState> state = ReadTrainState(CheckpointPath(run_directory, step));
    if (!state.ok()) continue;
    vit::v1::CheckpointInfo info;
    info.set_step(state->step);
    if (state->accuracy) info.set_accuracy(*state->accuracy);
    if (state->loss) info.set_loss(*state->loss);
    *info.mutable_time() = ToProto(state->time);
    checkpoints.push_back(std::move(info));
    best.push_back(state->best_step);
  }
  // The newest one counts, unless the best checkpoint that it names could not be written.
  while (!best.empty()) {
    for (vit::v1::CheckpointInfo& info : checkpoints) {
      if (best.back() != info.step()) continue;
      info.set_best(true);
      return checkpoints;
    }
    best.pop_back();
  }
  return checkpoints;
}

}  // namespace vit
