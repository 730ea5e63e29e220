// How a run that ended is taken up again, as it was or with changes.
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

// Sets what the record says of the data: its fingerprint, the splits' sizes, how it was understood.
void SetData(const DataSet& data, RunRecord* record);

// Sets the run's total_steps and total_epochs.
void SetLength(const ResolvedSpec& resolved, vit::v1::Run* run);

// Resolves `spec`, the effective spec of a run that exists, anew. What `init` names is looked for
// only where the run still has to begin with it. Statuses as ResolveSpec's.
absl::StatusOr<ResolvedSpec> ResolveAgain(const RunManager::Options& options,
                                          const RunRecord& record,
                                          const vit::v1::TrainingSpec& spec);

// FAILED_PRECONDITION where the run's state does not allow what `request` asks for.
absl::Status CheckResumable(const RunRecord& record, const vit::v1::ResumeRunRequest& request);

// What the run goes on with: its spec with the request's changes, resolved, checked against the
// data and the steps done. Reads the data's listing. FAILED_PRECONDITION where the data has changed
// since the run began; INVALID_ARGUMENT for changes that are wrong, that a run cannot make, or that
// leave it nothing to do.
absl::StatusOr<ResolvedSpec> PlanResume(const RunManager::Options& options, const RunRecord& record,
                                        const vit::v1::ResumeRunRequest& request);

}  // namespace vit

#endif  // VIT_CORE_RUNS_RESUME_RUN_H_
