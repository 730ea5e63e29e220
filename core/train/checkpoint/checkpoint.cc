#include "core/train/checkpoint/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/checksums.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/trainer.h"
#include "proto/message_json.h"
#include "proto/spec_text.h"
#include "proto/time.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kStateVersion = 1;
constexpr int64_t kMaxStateBytes = 1 << 20;
constexpr int64_t kMaxEvaluationBytes = 64 << 20;
constexpr char kEvaluationFile[] = "evaluation.json";
const std::vector<std::string> kFiles = {"config.json",       "labels.txt",
                                         "model.safetensors", "optimizer.safetensors",
                                         "spec.textproto",    "state.json"};

Json StateToJson(const TrainState& state) {
  Json json = {
      {"version", kStateVersion},
      {"step", state.step},
      {"evaluation_due", state.evaluation_due},
      {"since_last_point",
       {{"loss_sum", state.loss_sum}, {"correct", state.correct}, {"samples", state.samples}}},
      {"data_fingerprint", state.data_fingerprint},
      {"device_model", state.device_model},
      {"torch_version", state.torch_version},
      {"arithmetic", state.arithmetic},
      {"compute_threads", state.compute_threads},
      {"time", absl::FormatTime(state.time, absl::UTCTimeZone())}};
  if (state.accuracy) json["accuracy"] = *state.accuracy;
  if (state.loss) json["loss"] = *state.loss;
  if (state.best_step) {
    json["best"] = {
        {"step", *state.best_step}, {"accuracy", state.best_accuracy}, {"loss", state.best_loss}};
    if (state.best_value) json["best"]["value"] = *state.best_value;
  }
  if (state.improved_value) {
    json["early_stopping"] = {{"improved_value", *state.improved_value},
                              {"evaluations_since", state.evaluations_since_improved}};
  }
  return json;
}

// Throws nlohmann's exceptions for missing or mistyped members.
TrainState StateFromJson(const Json& json) {
  TrainState state;
  state.step = json.at("step").get<int64_t>();
  state.evaluation_due = json.at("evaluation_due").get<bool>();
  const Json& sums = json.at("since_last_point");
  state.loss_sum = sums.at("loss_sum").get<double>();
  state.correct = sums.at("correct").get<int64_t>();
  state.samples = sums.at("samples").get<int64_t>();
  state.data_fingerprint = json.at("data_fingerprint").get<std::string>();
  state.device_model = json.at("device_model").get<std::string>();
  state.torch_version = json.at("torch_version").get<std::string>();
  state.arithmetic = json.value("arithmetic", 1);  // the first did not say
  state.compute_threads = json.at("compute_threads").get<int>();
  std::string error;
  absl::ParseTime(absl::RFC3339_full, json.at("time").get<std::string>(), &state.time, &error);
  if (json.contains("accuracy")) state.accuracy = json["accuracy"].get<double>();
  if (json.contains("loss")) state.loss = json["loss"].get<double>();
  if (json.contains("best")) {
    state.best_step = json["best"].at("step").get<int64_t>();
    state.best_accuracy = json["best"].at("accuracy").get<double>();
    state.best_loss = json["best"].at("loss").get<double>();
    if (json["best"].contains("value")) state.best_value = json["best"]["value"].get<double>();
  }
  if (json.contains("early_stopping")) {
    const Json& stopping = json["early_stopping"];
    state.improved_value = stopping.at("improved_value").get<double>();
    state.evaluations_since_improved = stopping.at("evaluations_since").get<int>();
  }
  return state;
}

}  // namespace

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

absl::Status WriteCheckpoint(const fs::path& run_directory, const Checkpoint& checkpoint,
                             const std::function<absl::Status()>& before_rename) {
  VIT_RETURN_IF_ERROR(CreateDirectories(run_directory / "checkpoints"));
  return WriteDirectoryAtomically(
      CheckpointPath(run_directory, checkpoint.state.step),
      [&](const fs::path& directory) -> absl::Status {
        VIT_RETURN_IF_ERROR(
            WriteSafetensors(directory / "model.safetensors", checkpoint.weights,
                             {{"format", "pt"}, {"step", absl::StrCat(checkpoint.state.step)}}));
        VIT_RETURN_IF_ERROR(
            WriteSafetensors(directory / "optimizer.safetensors", checkpoint.optimizer, {}));
        VIT_RETURN_IF_ERROR(WriteModelDescription(directory, checkpoint.description));
        VIT_RETURN_IF_ERROR(
            WriteFile(directory / "spec.textproto", MessageToText(checkpoint.spec)));
        VIT_RETURN_IF_ERROR(
            WriteFile(directory / "state.json", StateToJson(checkpoint.state).dump(2) + "\n"));
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

absl::StatusOr<vit::v1::Evaluation> ReadEvaluation(const fs::path& checkpoint) {
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

absl::StatusOr<TrainState> ReadTrainState(const fs::path& directory) {
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(directory / "state.json", kMaxStateBytes));
  try {
    const Json json = Json::parse(text);
    if (json.at("version").get<int>() > kStateVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat(directory.string(), " was written by a newer vitd"));
    }
    return StateFromJson(json);
  } catch (const Json::exception& e) {
    return absl::DataLossError(absl::StrCat((directory / "state.json").string(), ": ", e.what()));
  }
}

absl::StatusOr<vit::v1::TrainingSpec> ReadCheckpointSpec(const fs::path& directory) {
  VIT_ASSIGN_OR_RETURN(const std::string text,
                       ReadFile(directory / "spec.textproto", kMaxStateBytes));
  vit::v1::TrainingSpec spec;
  VIT_RETURN_IF_ERROR(Annotate(ParseStoredMessageText(text, &spec), directory.string()));
  return spec;
}

std::vector<vit::v1::CheckpointInfo> ListCheckpoints(const fs::path& run_directory) {
  std::vector<vit::v1::CheckpointInfo> checkpoints;
  std::vector<std::optional<int64_t>> best;  // what each of them knew as the best
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
  // The newest knows, unless that one could not be written.
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
