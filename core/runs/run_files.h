// A run's files in the state directory, and how a start of the program reconciles them.
#ifndef VIT_CORE_RUNS_RUN_FILES_H_
#define VIT_CORE_RUNS_RUN_FILES_H_

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/runs/run_record.h"
#include "core/runs/store/run_store.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Writes the effective specification to the run's folder, which it creates if missing.
absl::Status WriteSpecFile(const std::filesystem::path& run_directory,
                           const vit::v1::TrainingSpec& spec);

// Marks a run's folder as deleted, so that the next start removes it if it cannot be removed now.
absl::Status MarkDeleted(const std::filesystem::path& run_directory);
absl::Status UnmarkDeleted(const std::filesystem::path& run_directory);

struct ReconcileOptions {
  std::filesystem::path state_dir;
  bool resume_interrupted = true;
  std::function<std::vector<vit::v1::CheckpointInfo>(const std::filesystem::path& run_directory)>
      list_checkpoints;
  absl::Time now;
};

// Makes the database agree with the folders, which are the truth, and settles what an earlier
// process left behind:
// - adopts checkpoints that the database does not know, and drops those that are gone;
// - turns a folder with checkpoints but without a run into a stopped run, and removes folders of
//   deleted or never acknowledged runs;
// - turns STOPPING into STOPPED and RUNNING into INTERRUPTED; with `resume_interrupted`, queues
//   INTERRUPTED runs ahead of the others, except that a run that was restarted three times after a
//   crash without a newer checkpoint becomes FAILED.
// Stores the changes, and returns the runs.
absl::StatusOr<std::vector<RunRecord>> ReconcileRuns(const ReconcileOptions& options,
                                                     RunStore* store);

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_FILES_H_
