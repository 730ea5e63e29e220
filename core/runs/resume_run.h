// Resuming a run that has ended, as it was or with changes.
#ifndef VIT_CORE_RUNS_RESUME_RUN_H_
#define VIT_CORE_RUNS_RESUME_RUN_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/dataset.h"
#include "core/runs/run_manager.h"
#include "core/runs/run_record.h"
#include "core/train/resolve_spec.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Sets the record's data fields: fingerprint, sizes of the splits, and notes on how it was
// understood.
void SetData(const DataSet& data, RunRecord* record);

// Sets the run's total_steps and total_epochs.
void SetLength(const ResolvedSpec& resolved, vit::v1::Run* run);

// Resolves `spec`, the effective spec of an existing run, again. Looks for what `init` names only
// if the run still has to begin with it. Statuses are those of ResolveSpec.
absl::StatusOr<ResolvedSpec> ResolveAgain(const RunManager::Options& options,
                                          const RunRecord& record,
                                          const vit::v1::TrainingSpec& spec);

// FAILED_PRECONDITION if the run's state does not allow what `request` asks for.
absl::Status CheckResumable(const RunRecord& record, const vit::v1::ResumeRunRequest& request);

// Returns the spec that the run continues with: its own with the request's changes, resolved and
// checked against the data and the steps done. Reads the data's listing. FAILED_PRECONDITION if the
// data has changed since the run began; INVALID_ARGUMENT for changes that are wrong, that a run
// cannot make, or that leave it nothing to do.
absl::StatusOr<ResolvedSpec> PlanResume(const RunManager::Options& options, const RunRecord& record,
                                        const vit::v1::ResumeRunRequest& request);

}  // namespace vit

#endif  // VIT_CORE_RUNS_RESUME_RUN_H_
