#include "core/runs/resume_run.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/data_config.h"
#include "core/runs/state_layout.h"
#include "core/spec/merge_spec.h"
#include "proto/spec_text.h"

namespace vit {
namespace {

using vit::v1::Run;
using vit::v1::TrainingSpec;

// A run that early stopping ended would end again at once unless it may wait longer.
absl::Status CheckPatience(const RunRecord& record, const TrainingSpec& changed) {
  const int before = record.spec.early_stopping().patience();
  const int after = changed.early_stopping().patience();
  const bool stopped_early = record.run.state() == vit::v1::RUN_STATE_SUCCEEDED &&
                             record.run.step() < record.run.total_steps();
  if (!stopped_early || after == 0 || after > before) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "run ", record.run.id(), " was stopped early, after ", before,
      " evaluations without improvement; to continue, set early_stopping.patience above ", before,
      ", or to 0 for no early stopping"));
}

absl::Status CheckLength(const RunRecord& record, const ResolvedSpec& resolved) {
  const int64_t done = record.checkpoints.empty() ? 0 : record.checkpoints.back().step();
  if (resolved.total_steps > done) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "run ", record.run.id(), " has done ", done, " steps already, and the changes make it ",
      resolved.total_steps, " steps long (", resolved.steps_per_epoch,
      " steps an epoch); make epochs or max_steps larger"));
}

}  // namespace

void SetData(const DataSet& data, RunRecord* record) {
  record->data_fingerprint = data.fingerprint();
  record->run.set_train_size(data.size(DataSplit::kTrain));
  record->run.set_validation_size(data.size(DataSplit::kValidation));
  record->run.clear_data_notes();
  for (std::string& note : DataNotes(data.facts())) record->run.add_data_notes(std::move(note));
}

void SetLength(const ResolvedSpec& resolved, Run* run) {
  run->set_total_steps(resolved.total_steps);
  if (resolved.spec.has_epochs()) {
    run->set_total_epochs(resolved.spec.epochs());
  } else if (resolved.steps_per_epoch > 0) {
    run->set_total_epochs(static_cast<double>(resolved.total_steps) /
                          static_cast<double>(resolved.steps_per_epoch));
  }
}

absl::StatusOr<ResolvedSpec> ResolveAgain(const RunManager::Options& options,
                                          const RunRecord& record, const TrainingSpec& spec) {
  return options.plan("", spec, options.environment,
                      {.directory = StateLayout(options.state_dir).run(record.run.id()),
                       .has_checkpoint = !record.checkpoints.empty()});
}

absl::Status CheckResumable(const RunRecord& record, const vit::v1::ResumeRunRequest& request) {
  const Run& run = record.run;
  if (run.state() == vit::v1::RUN_STATE_SUCCEEDED && !request.has_changes()) {
    const std::string done =
        run.step() < run.total_steps()
            ? absl::StrCat("was stopped early, at step ", run.step(), " of ", run.total_steps())
            : absl::StrCat("has done all of its ", run.total_steps(), " steps");
    return absl::FailedPreconditionError(absl::StrCat(
        "run ", run.id(), " ", done, "; to continue it, give it more to do: vitctl resume ",
        run.id(),
        run.step() < run.total_steps() ? " --set early_stopping.patience=0" : " --set epochs=N"));
  }
  if (!IsFinished(run.state())) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run.id(), " is ", StateWord(run.state()),
                     "; only a run that has ended or was stopped or interrupted can be resumed"));
  }
  // Without a checkpoint the run would start over, which loses nothing only if it had not begun.
  // (An interrupted run would start over at vitd's next start too.)
  if (record.checkpoints.empty() && run.step() > 0 &&
      run.state() != vit::v1::RUN_STATE_INTERRUPTED) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", run.id(), " is ", StateWord(run.state()), " at step ", run.step(),
                     " and has no checkpoint to continue from; start a new run with its spec"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ResolvedSpec> PlanResume(const RunManager::Options& options, const RunRecord& record,
                                        const vit::v1::ResumeRunRequest& request) {
  TrainingSpec spec = record.spec;
  if (request.has_changes()) {
    VIT_RETURN_IF_ERROR(CheckEnums(request.changes()));
    VIT_ASSIGN_OR_RETURN(spec, ChangeSpec(record.spec, request.changes()));
    VIT_RETURN_IF_ERROR(CheckPatience(record, spec));
  }
  if (request.loader_threads() > 0) {
    spec.mutable_data()->set_loader_threads(request.loader_threads());
  }
  VIT_RETURN_IF_ERROR(ValidateDataConfig(spec.data()));  // loader_threads may be the request's
  const absl::StatusOr<ResolvedSpec> resolving = ResolveAgain(options, record, spec);
  if (absl::IsInvalidArgument(resolving.status()) && !request.has_changes()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "run ", record.run.id(), " cannot continue as it began: ", resolving.status().message(),
        " (has its data, ", record.run.data_source(), ", changed since?)"));
  }
  VIT_ASSIGN_OR_RETURN(const ResolvedSpec resolved, resolving);
  if (!record.checkpoints.empty() && !record.data_fingerprint.empty() && resolved.data != nullptr &&
      resolved.data->fingerprint() != record.data_fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data of run ", record.run.id(), " (", record.run.data_source(),
                     ") has changed since it began, so it cannot continue as the same run; restore "
                     "the data, or start a new run with --init run:",
                     record.run.id()));
  }
  if (request.has_changes()) VIT_RETURN_IF_ERROR(CheckLength(record, resolved));
  return resolved;
}

}  // namespace vit
