#include "core/train/checkpoint/checkpoint.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "proto/message_json.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxSpecBytes = 1 << 20;
const std::vector<std::string> kFiles = {
    kConfigFile, kLabelsFile, kWeightsFile, "optimizer.safetensors", "spec.textproto", kStateFile};

}  // namespace

absl::Status WriteCheckpoint(const fs::path& run_directory, const Checkpoint& checkpoint,
                             const std::function<absl::Status()>& before_rename) {
  VIT_RETURN_IF_ERROR(CreateDirectories(run_directory / "checkpoints"));
  return WriteDirectoryAtomically(
      CheckpointPath(run_directory, checkpoint.state.step),
      [&](const fs::path& directory) -> absl::Status {
        VIT_RETURN_IF_ERROR(
            WriteSafetensors(directory / kWeightsFile, checkpoint.weights,
                             {{"format", "pt"}, {"step", absl::StrCat(checkpoint.state.step)}}));
        VIT_RETURN_IF_ERROR(
            WriteSafetensors(directory / "optimizer.safetensors", checkpoint.optimizer, {}));
        VIT_RETURN_IF_ERROR(WriteModelDescription(directory, checkpoint.description));
        VIT_RETURN_IF_ERROR(
            WriteFile(directory / "spec.textproto", MessageToText(checkpoint.spec)));
        VIT_RETURN_IF_ERROR(WriteTrainState(directory, checkpoint.state));
        std::vector<std::string> files = kFiles;
        if (checkpoint.evaluation.has_value()) {
          files.push_back(kEvaluationFile);
          VIT_RETURN_IF_ERROR(
              WriteFile(directory / kEvaluationFile,
                        MessageToJson(*checkpoint.evaluation, /*indented=*/false) + "\n"));
        }
        VIT_RETURN_IF_ERROR(WriteChecksums(directory, files));
        return before_rename();
      });
}

absl::Status VerifyCheckpoint(const fs::path& directory) {
  return VerifyChecksums(directory, kFiles);
}

absl::Status SetAsideCheckpoint(const fs::path& directory) {
  const fs::path aside = directory.string() + ".damaged";
  VIT_RETURN_IF_ERROR(RemoveTree(aside));
  std::error_code code;
  fs::rename(directory, aside, code);
  if (code) {
    return absl::ErrnoToStatus(code.value(), absl::StrCat("set aside ", directory.string()));
  }
  return SyncDirectory(directory.parent_path());
}

absl::StatusOr<std::optional<fs::path>> NewestSoundCheckpoint(const fs::path& run_directory,
                                                              std::vector<std::string>* notes) {
  const std::vector<int64_t> steps = CheckpointSteps(run_directory);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path path = CheckpointPath(run_directory, *step);
    const absl::Status status = VerifyCheckpoint(path);
    if (status.ok()) return path;
    if (!absl::IsDataLoss(status)) return status;
    notes->push_back(absl::StrCat("set aside a damaged checkpoint: ", status.message()));
    VIT_RETURN_IF_ERROR(SetAsideCheckpoint(path));
  }
  return std::nullopt;
}

absl::Status RemoveUnfinishedCheckpoints(const fs::path& run_directory) {
  std::vector<fs::path> unfinished;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run_directory / "checkpoints", code)) {
    const fs::path extension = entry.path().extension();
    if (extension == ".tmp" || extension == ".removed") unfinished.push_back(entry.path());
  }
  for (const fs::path& path : unfinished) {
    fs::remove_all(path, code);
    if (code) return absl::ErrnoToStatus(code.value(), absl::StrCat("remove ", path.string()));
  }
  return absl::OkStatus();
}

absl::StatusOr<vit::v1::TrainingSpec> ReadCheckpointSpec(const fs::path& directory) {
  VIT_ASSIGN_OR_RETURN(const std::string text,
                       ReadFile(directory / "spec.textproto", kMaxSpecBytes));
  vit::v1::TrainingSpec spec;
  VIT_RETURN_IF_ERROR(Annotate(ParseStoredMessageText(text, &spec), directory.string()));
  return spec;
}

absl::Status RemoveOldCheckpoints(const fs::path& run_directory, int keep_last,
                                  const std::function<bool(int64_t step)>& keep) {
  const std::vector<vit::v1::CheckpointInfo> checkpoints = ListCheckpoints(run_directory);
  const int old = std::max(0, static_cast<int>(checkpoints.size()) - keep_last);
  for (int i = 0; i < old; ++i) {
    if (checkpoints[i].best() || keep(checkpoints[i].step())) continue;
    VIT_RETURN_IF_ERROR(RemoveTree(CheckpointPath(run_directory, checkpoints[i].step())));
  }
  return absl::OkStatus();
}

}  // namespace vit
