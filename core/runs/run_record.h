// The record of a run: the message that calls return, and what the manager needs besides.
#ifndef VIT_CORE_RUNS_RUN_RECORD_H_
#define VIT_CORE_RUNS_RUN_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/train/memory_estimate.h"
#include "google/protobuf/timestamp.pb.h"
#include "vit/v1/training.pb.h"

namespace vit {

struct RunRecord {
  // As calls return it, except queue_position, which is computed on request.
  vit::v1::Run run;
  // The effective specification.
  vit::v1::TrainingSpec spec;
  // The client's id for the call, by which a repeated call is recognised; may be empty.
  std::string request_id;
  // DataSet::fingerprint() when the run was created.
  std::string data_fingerprint;
  // Order of creation, from 1; 0 until it is stored.
  int64_t sequence = 0;
  // Queued runs start in ascending order.
  int64_t queue_order = 0;
  // The number of its last start, among all starts of all runs, from 1; 0 if it never started.
  // Unlike a time, it also grows when the machine's clock is set back.
  int64_t start_order = 0;
  // How often in a row the daemon found the run interrupted by a crash and continued it without a
  // checkpoint newer than that of step `restart_step` (-1: none).
  int restarts = 0;
  int64_t restart_step = -1;
  int64_t steps_per_epoch = 0;
  MemoryEstimate estimated_memory;
  // On disk, by ascending step; at most one is `best`.
  std::vector<vit::v1::CheckpointInfo> checkpoints;
  // The effective specs of a run that was resumed with changes, by ascending step from 0; the last
  // is `spec`. Empty for other runs.
  std::vector<vit::v1::SpecFromStep> specs;
};

// Records that from `step` on the run follows `spec`, which replaces what was to apply there.
void ChangeSpecFrom(int64_t step, const vit::v1::TrainingSpec& spec, RunRecord* record);
// Records that the run continues from `step`, perhaps one before the last change, which then
// applies from there.
void GoOnFrom(int64_t step, RunRecord* record);

// Records that the run is to continue after the daemon went away while it ran. After three times
// without a newer checkpoint, sets it FAILED instead, with a message, so that a run that brings the
// daemon down is not retried forever.
void CountRestart(RunRecord* record);

// Reads an effective specification that this version or an earlier one stored as text. What an
// earlier version did not record follows that version's rules.
absl::Status ParseStoredSpec(absl::string_view text, vit::v1::TrainingSpec* spec);

// "running" for RUN_STATE_RUNNING.
std::string StateWord(vit::v1::RunState state);

// Whether a checkpoint of `step` is on disk.
bool HasCheckpoint(const RunRecord& record, int64_t step);

// Returns whether `state` is SUCCEEDED, FAILED, STOPPED or INTERRUPTED: neither waiting nor
// running.
bool IsFinished(vit::v1::RunState state);

// Replaces record->checkpoints. `checkpoints` may be in any order and have several marked best
// (each was at its time): the one of the highest step stays best. Sets the run's best_checkpoint
// and last_checkpoint.
void SetCheckpoints(std::vector<vit::v1::CheckpointInfo> checkpoints, RunRecord* record);
// Adds a new one, or replaces that of its step.
void AddCheckpoint(const vit::v1::CheckpointInfo& checkpoint, RunRecord* record);

// Returns the step of the checkpoint to serve: the best, else the last; -1 if there is none.
int64_t ServableStep(const RunRecord& record);

// Returns an id such as 20261121-034012-kfzq: sortable by time, lower case, safe in paths and URLs.
// The letters are random.
std::string MakeRunId(absl::Time now);
bool IsRunId(absl::string_view text);

// INVALID_ARGUMENT if `name` is longer than 100 bytes, has a control character, begins or ends with
// a space, or is "latest", which has another meaning.
absl::Status ValidateRunName(absl::string_view name);

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_RECORD_H_
