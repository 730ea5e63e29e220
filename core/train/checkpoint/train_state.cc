#include "core/train/checkpoint/train_state.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"

namespace vit {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kStateVersion = 1;
constexpr int64_t kMaxStateBytes = 1 << 20;

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
  state.arithmetic = json.value("arithmetic", 1);  // not in the oldest files
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

absl::Status WriteTrainState(const std::filesystem::path& directory, const TrainState& state) {
  return WriteFile(directory / kStateFile, StateToJson(state).dump(2) + "\n");
}

absl::StatusOr<TrainState> ReadTrainState(const std::filesystem::path& directory) {
  VIT_ASSIGN_OR_RETURN(const std::string text, ReadFile(directory / kStateFile, kMaxStateBytes));
  try {
    const Json json = Json::parse(text);
    if (json.at("version").get<int>() > kStateVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat(directory.string(), " was written by a newer vitd"));
    }
    return StateFromJson(json);
  } catch (const Json::exception& e) {
    return absl::DataLossError(absl::StrCat((directory / kStateFile).string(), ": ", e.what()));
  }
}

}  // namespace vit
