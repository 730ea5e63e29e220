#include "core/runs/run_record.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "proto/field_names.h"
#include "proto/spec_text.h"

namespace vit {

using vit::v1::CheckpointInfo;

absl::Status ParseStoredSpec(absl::string_view text, vit::v1::TrainingSpec* spec) {
  VIT_RETURN_IF_ERROR(ParseStoredMessageText(text, spec));
  MarkStoredListing(spec->mutable_data());
  return absl::OkStatus();
}

std::string StateWord(vit::v1::RunState state) {
  const auto* value = vit::v1::RunState_descriptor()->FindValueByNumber(state);
  return value == nullptr ? absl::StrCat("state ", static_cast<int>(state)) : ShortEnumName(value);
}

bool HasCheckpoint(const RunRecord& record, int64_t step) {
  return std::any_of(record.checkpoints.begin(), record.checkpoints.end(),
                     [&](const CheckpointInfo& checkpoint) { return checkpoint.step() == step; });
}

bool IsFinished(vit::v1::RunState state) {
  return state == vit::v1::RUN_STATE_SUCCEEDED || state == vit::v1::RUN_STATE_FAILED ||
         state == vit::v1::RUN_STATE_STOPPED || state == vit::v1::RUN_STATE_INTERRUPTED;
}

void SetCheckpoints(std::vector<CheckpointInfo> checkpoints, RunRecord* record) {
  std::sort(checkpoints.begin(), checkpoints.end(),
            [](const CheckpointInfo& a, const CheckpointInfo& b) { return a.step() < b.step(); });
  record->run.clear_best_checkpoint();
  record->run.clear_last_checkpoint();
  bool best_seen = false;
  for (auto checkpoint = checkpoints.rbegin(); checkpoint != checkpoints.rend(); ++checkpoint) {
    if (best_seen) checkpoint->set_best(false);
    if (!checkpoint->best()) continue;
    best_seen = true;
    *record->run.mutable_best_checkpoint() = *checkpoint;
  }
  if (!checkpoints.empty()) *record->run.mutable_last_checkpoint() = checkpoints.back();
  record->checkpoints = std::move(checkpoints);
}

void AddCheckpoint(const CheckpointInfo& checkpoint, RunRecord* record) {
  std::vector<CheckpointInfo> all = record->checkpoints;
  all.erase(std::remove_if(all.begin(), all.end(),
                           [&](const CheckpointInfo& c) { return c.step() == checkpoint.step(); }),
            all.end());
  all.push_back(checkpoint);
  SetCheckpoints(std::move(all), record);
}

void ChangeSpecFrom(int64_t step, const vit::v1::TrainingSpec& spec, RunRecord* record) {
  std::vector<vit::v1::SpecFromStep>& specs = record->specs;
  if (specs.empty()) *specs.emplace_back().mutable_spec() = record->spec;
  while (!specs.empty() && specs.back().step() >= step) specs.pop_back();
  vit::v1::SpecFromStep& changed = specs.emplace_back();
  changed.set_step(step);
  *changed.mutable_spec() = spec;
  record->spec = spec;
}

void GoOnFrom(int64_t step, RunRecord* record) {
  if (record->specs.empty() || record->specs.back().step() <= step) return;
  ChangeSpecFrom(step, vit::v1::TrainingSpec(record->spec), record);
}

void CountRestart(RunRecord* record) {
  constexpr int kMaxRestarts = 3;
  const int64_t newest = record->checkpoints.empty() ? -1 : record->checkpoints.back().step();
  if (newest > record->restart_step) {
    record->restart_step = newest;
    record->restarts = 0;
  }
  if (record->restarts < kMaxRestarts) {
    ++record->restarts;
    return;
  }
  record->run.set_state(vit::v1::RUN_STATE_FAILED);
  record->run.set_message(
      absl::StrCat("the daemon went away during the run, which was restarted ", kMaxRestarts,
                   " times without a checkpoint after step ", std::max<int64_t>(newest, 0),
                   ": is there enough memory? Resume it once the cause is gone"));
}

int64_t ServableStep(const RunRecord& record) {
  if (record.run.has_best_checkpoint()) return record.run.best_checkpoint().step();
  return record.checkpoints.empty() ? -1 : record.checkpoints.back().step();
}

std::string MakeRunId(absl::Time now) {
  // No vowels, so that the letters form no word; no l, which looks like 1.
  constexpr absl::string_view kLetters = "bcdfghjkmnpqrstvwxyz";
  std::random_device random;
  std::uniform_int_distribution<size_t> letter(0, kLetters.size() - 1);
  std::string id = absl::FormatTime("%Y%m%d-%H%M%S-", now, absl::UTCTimeZone());
  for (int i = 0; i < 4; ++i) id += kLetters[letter(random)];
  return id;
}

bool IsRunId(absl::string_view text) {
  constexpr absl::string_view kForm = "00000000-000000-aaaa";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == '0'   ? absl::ascii_isdigit(c)
                  : form == 'a' ? absl::ascii_islower(c)
                                : c == form;
         });
}

absl::Status ValidateRunName(absl::string_view name) {
  constexpr size_t kMaxBytes = 100;
  if (name.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("name has ", name.size(), " bytes; at most ", kMaxBytes, " are allowed"));
  }
  if (std::any_of(name.begin(), name.end(), [](char c) { return absl::ascii_iscntrl(c); })) {
    return absl::InvalidArgumentError("name has a control character; use printable text");
  }
  if (name != absl::StripAsciiWhitespace(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name '", name, "' begins or ends with a space"));
  }
  if (name == "latest") {
    return absl::InvalidArgumentError(
        "name 'latest' always means the most recently started run; choose another");
  }
  return absl::OkStatus();
}

}  // namespace vit
