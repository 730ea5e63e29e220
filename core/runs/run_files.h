// Where a run's files lie in the state directory, and what a start of the program finds there.
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

// state_dir/runs/20261121-034012-kfzq
std::filesystem::path RunDirectory(const std::filesystem::path& state_dir, const std::string& run);

// Writes the effective specification to the run's folder, made where it is missing.
absl::Status WriteSpecFile(const std::filesystem::path& run_directory,
                           const vit::v1::TrainingSpec& spec);

// Marks a run's folder as deleted, so that it goes at the next start if it cannot go now.
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
// - a checkpoint that the database does not know is adopted, one that is gone is dropped;
// - a folder with checkpoints but without a run becomes a stopped run; folders of deleted or never
// acknowledged runs go;
// - STOPPING becomes STOPPED; RUNNING becomes INTERRUPTED; with `resume_interrupted`, INTERRUPTED
// runs are queued ahead of
//   the others, except one that was restarted three times after a crash without a newer checkpoint,
//   which is FAILED.
// Stores all that, and returns the runs.
absl::StatusOr<std::vector<RunRecord>> ReconcileRuns(const ReconcileOptions& options,
                                                     RunStore* store);

}  // namespace vit

#endif  // VIT_CORE_RUNS_RUN_FILES_H_
