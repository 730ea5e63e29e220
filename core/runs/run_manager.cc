#include "core/runs/run_manager.h"

#include <atomic>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/data/dataset.h"
#include "core/runs/checkpoint_leases.h"
#include "core/runs/events/event_dispatcher.h"
#include "core/runs/events/subscriptions.h"
#include "core/runs/resume_run.h"
#include "core/runs/run_files.h"
#include "core/runs/run_ledger.h"
#include "core/runs/run_recorder.h"
#include "core/runs/run_worker.h"
#include "core/runs/state_layout.h"
#include "core/runs/store/history_buffer.h"
#include "core/runs/store/run_store.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "proto/time.h"

namespace vit {

using vit::v1::Run;

namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr size_t kMaxRequestIdBytes = 200;

vit::v1::StartTrainingResponse MakeStartResponse(const RunRecord& record) {
  vit::v1::StartTrainingResponse response;
  if (!record.run.id().empty()) *response.mutable_run() = record.run;
  *response.mutable_effective_spec() = record.spec;
  response.set_parameter_count(record.run.parameter_count());
  response.set_estimated_memory_bytes(record.estimated_memory.host_bytes);
  response.set_estimated_device_memory_bytes(record.estimated_memory.device_bytes);
  response.set_train_size(record.run.train_size());
  response.set_validation_size(record.run.validation_size());
  response.set_total_steps(record.run.total_steps());
  *response.mutable_data_notes() = record.run.data_notes();
  return response;
}

RunRecord MakeRecord(const vit::v1::StartTrainingRequest& request, const ResolvedSpec& resolved) {
  RunRecord record;
  record.spec = resolved.spec;
  record.request_id = request.request_id();
  record.steps_per_epoch = resolved.steps_per_epoch;
  record.estimated_memory = resolved.estimated_memory;
  Run& run = record.run;
  run.set_name(request.name());
  run.set_preset(request.preset());
  run.set_data_source(resolved.spec.data().source());
  SetLength(resolved, &run);
  run.set_parameter_count(resolved.parameter_count);
  run.set_class_count(resolved.spec.model().num_classes());
  if (resolved.data != nullptr) {
    SetData(*resolved.data, &record);
    run.set_class_count(static_cast<int32_t>(resolved.data->class_names().size()));
  }
  return record;
}

class RunManagerImpl final : public RunManager {
 public:
  RunManagerImpl(Options options, std::unique_ptr<RunStore> store, std::vector<RunRecord> records)
      : catalog_(this, options.repository),
        options_(WithModels(std::move(options))),
        store_(std::move(store)),
        history_(store_.get()),
        subscriptions_(&dispatcher_),
        ledger_({store_.get(), &dispatcher_, &subscriptions_, options_.listener,
                 options_.max_queued_runs},
                std::move(records)),
        worker_({options_,
                 {&ledger_, store_.get(), &history_, &dispatcher_, options_.listener,
                  options_.clock, options_.list_checkpoints},
                 &leases_}) {}

  ~RunManagerImpl() override { Shutdown(absl::InfinitePast()); }

  absl::StatusOr<vit::v1::StartTrainingResponse> Start(const vit::v1::StartTrainingRequest& request,
                                                       const Cancelled& cancelled) override {
    VIT_RETURN_IF_ERROR(CheckAccepting());
    VIT_RETURN_IF_ERROR(ValidateRunName(request.name()));
    if (request.request_id().size() > kMaxRequestIdBytes) {
      return absl::InvalidArgumentError(absl::StrCat("request_id has ", request.request_id().size(),
                                                     " bytes; at most ", kMaxRequestIdBytes,
                                                     " are allowed"));
    }
    if (!request.validate_only()) {
      if (!request.request_id().empty()) {
        const std::optional<RunRecord> known = ledger_.FindRequest(request.request_id());
        if (known.has_value()) return MakeStartResponse(*known);
      }
      VIT_RETURN_IF_ERROR(
          ledger_.CheckRoom());  // checked again when it counts; this saves the work below
    }
    VIT_ASSIGN_OR_RETURN(
        const ResolvedSpec resolved,
        options_.plan(request.preset(), request.spec(), options_.environment, ExistingRun()));
    RunRecord record = MakeRecord(request, resolved);
    if (request.validate_only()) return MakeStartResponse(record);
    VIT_RETURN_IF_ERROR(CheckAccepting());
    VIT_RETURN_IF_ERROR(CheckWanted(cancelled));
    bool created = false;
    absl::StatusOr<RunRecord> added = ledger_.Add(
        std::move(record),
        [&](const RunRecord& run) -> absl::Status {
          const std::filesystem::path directory = Directory(run.run.id());
          VIT_RETURN_IF_ERROR(WriteSpecFile(directory, run.spec));
          return KeepModels(resolved, directory);
        },
        [this](const RunRecord& run) { RemoveTree(Directory(run.run.id())).IgnoreError(); },
        options_.clock->Now(), &created);
    if (!added.ok()) {
      return absl::IsResourceExhausted(added.status()) ? added.status()
                                                       : Annotate(added.status(), "store the run");
    }
    return MakeStartResponse(*added);
  }

  absl::StatusOr<vit::v1::StatusResponse> GetStatus(const std::string& query) override {
    VIT_ASSIGN_OR_RETURN(RunRecord record, Lookup(query));
    vit::v1::StatusResponse response;
    *response.mutable_run() = std::move(record.run);
    *response.mutable_spec() = std::move(record.spec);
    for (auto& checkpoint : record.checkpoints) *response.add_checkpoints() = std::move(checkpoint);
    for (auto& spec : record.specs) *response.add_specs() = std::move(spec);
    return response;
  }

  absl::StatusOr<vit::v1::ListRunsResponse> List(const vit::v1::ListRunsRequest& request) override {
    if (request.page_size() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("page_size is ", request.page_size(), "; expected 0 to ", kMaxPageSize));
    }
    int64_t before = std::numeric_limits<int64_t>::max();
    if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &before)) {
      return absl::InvalidArgumentError(
          absl::StrCat("page_token '", request.page_token(), "' is not from an earlier answer"));
    }
    std::set<vit::v1::RunState> states;
    for (const int state : request.states()) states.insert(static_cast<vit::v1::RunState>(state));
    const int page_size = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
    return ledger_.List(states, std::min(page_size, kMaxPageSize), before);
  }

  absl::StatusOr<Run> Stop(const std::string& query) override {
    VIT_RETURN_IF_ERROR(CheckAccepting());
    VIT_ASSIGN_OR_RETURN(const std::string id, ledger_.Find(query));
    const absl::Time now = options_.clock->Now();
    // Stops even after a database error: on a full disk, runs must stop all the more.
    VIT_ASSIGN_OR_RETURN(Run run, ledger_.Settle(id, [now](RunRecord* record) -> absl::Status {
      Run& run = record->run;
      if (run.state() == vit::v1::RUN_STATE_QUEUED) {
        run.set_state(vit::v1::RUN_STATE_STOPPED);
        *run.mutable_end_time() = ToProto(now);
      } else if (run.state() == vit::v1::RUN_STATE_RUNNING) {
        run.set_state(vit::v1::RUN_STATE_STOPPING);
      } else if (run.state() != vit::v1::RUN_STATE_STOPPING) {
        return absl::FailedPreconditionError(absl::StrCat("run ", run.id(), " has ended (",
                                                          StateWord(run.state()),
                                                          "); there is nothing to stop"));
      }
      return absl::OkStatus();
    }));
    if (run.state() == vit::v1::RUN_STATE_STOPPING) worker_.RequestStop(id);
    return run;
  }

  absl::StatusOr<Run> Resume(const vit::v1::ResumeRunRequest& request,
                             const Cancelled& cancelled) override {
    VIT_RETURN_IF_ERROR(CheckAccepting());
    if (request.loader_threads() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("loader_threads is ", request.loader_threads(), "; expected 0 or more"));
    }
    VIT_ASSIGN_OR_RETURN(RunRecord record, Lookup(request.run()));
    VIT_RETURN_IF_ERROR(CheckResumable(record, request));
    VIT_ASSIGN_OR_RETURN(const ResolvedSpec plan, PlanResume(options_, record, request));
    VIT_RETURN_IF_ERROR(CheckAccepting());
    VIT_RETURN_IF_ERROR(CheckWanted(cancelled));
    const std::string id = record.run.id();
    const bool changed = request.has_changes() || request.loader_threads() > 0;
    if (changed) VIT_RETURN_IF_ERROR(WriteSpecFile(Directory(id), plan.spec));
    return ledger_.Enqueue(id, [&](RunRecord* record) -> absl::Status {
      VIT_RETURN_IF_ERROR(CheckResumable(*record, request));
      if (request.has_changes()) {
        ChangeSpecFrom(record->checkpoints.empty() ? 0 : record->checkpoints.back().step(),
                       plan.spec, record);
        SetLength(plan, &record->run);
      } else if (changed) {
        record->spec = plan.spec;
      }
      record->restarts = 0;
      record->restart_step = -1;
      record->run.clear_message();
      record->run.clear_end_time();
      return absl::OkStatus();
    });
  }

  absl::Status Delete(const std::string& query) override {
    VIT_RETURN_IF_ERROR(CheckAccepting());
    VIT_ASSIGN_OR_RETURN(const std::string id, ledger_.Find(query));
    VIT_RETURN_IF_ERROR(ledger_.Remove(
        id,
        [](RunRecord* record) -> absl::Status {
          if (IsFinished(record->run.state())) return absl::OkStatus();
          return absl::FailedPreconditionError(absl::StrCat(
              "run ", record->run.id(), " is ", StateWord(record->run.state()), "; stop it first"));
        },
        [&]() -> absl::Status {
          history_.Forget(id);
          // The mark and the deletion from the database take effect together or not at all.
          const std::filesystem::path directory = Directory(id);
          absl::Status deleted = MarkDeleted(directory);
          if (deleted.ok()) deleted = store_->DeleteRun(id);
          if (!deleted.ok()) (void)UnmarkDeleted(directory);
          return deleted;
        }));
    // Files of a checkpoint that is being served are removed when it no longer is.
    return Annotate(leases_.RemoveWhenUnused(id, Directory(id)),
                    absl::StrCat("run ", id, " is deleted, but some of its files are left"));
  }

  absl::StatusOr<vit::v1::GetHistoryResponse> GetHistory(
      const vit::v1::GetHistoryRequest& request) override {
    if (request.max_points() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_points is ", request.max_points(), "; expected 0 (all) or more"));
    }
    if (!vit::v1::Split_IsValid(request.split())) {
      return absl::InvalidArgumentError(
          absl::StrCat("split ", static_cast<int>(request.split()), " is unknown"));
    }
    VIT_ASSIGN_OR_RETURN(RunRecord record, Lookup(request.run()));
    // Flushes so that a follower finds the points that were announced. What cannot be written now
    // is not lost, only absent from this answer.
    history_.Flush().IgnoreError();
    VIT_ASSIGN_OR_RETURN(const std::vector<vit::v1::MetricPoint> points,
                         store_->History(record.run.id(), request.split(), request.after_step(),
                                         request.max_points()));
    vit::v1::GetHistoryResponse response;
    *response.mutable_run() = std::move(record.run);
    response.mutable_points()->Add(points.begin(), points.end());
    return response;
  }

  absl::StatusOr<vit::v1::GetEvaluationResponse> GetEvaluation(
      const vit::v1::GetEvaluationRequest& request) override {
    VIT_ASSIGN_OR_RETURN(RunRecord record, Lookup(request.run()));
    const int64_t step = request.step() > 0 ? request.step() : record.run.best_checkpoint().step();
    const std::string id = record.run.id();
    absl::StatusOr<vit::v1::Evaluation> evaluation =
        step > 0 ? ReadEvaluation(CheckpointPath(Directory(id), step)) : absl::NotFoundError("");
    if (absl::IsNotFound(evaluation.status())) {
      std::string kept;
      for (const vit::v1::CheckpointInfo& checkpoint : record.checkpoints) {
        if (checkpoint.has_accuracy()) absl::StrAppend(&kept, " ", checkpoint.step());
      }
      return absl::NotFoundError(absl::StrCat(
          "run ", id, " keeps no evaluation", step > 0 ? absl::StrCat(" of step ", step) : "",
          kept.empty() ? "; none of its checkpoints has been evaluated yet"
                       : absl::StrCat("; its evaluated checkpoints are those of steps", kept)));
    }
    VIT_RETURN_IF_ERROR(evaluation.status());
    vit::v1::GetEvaluationResponse response;
    *response.mutable_run() = std::move(record.run);
    *response.mutable_evaluation() = *std::move(evaluation);
    return response;
  }

  absl::StatusOr<std::shared_ptr<void>> Subscribe(const std::string& query,
                                                  std::function<void()> on_change) override {
    VIT_ASSIGN_OR_RETURN(const std::string id, ledger_.Find(query));
    return subscriptions_.Add(id, std::move(on_change));
  }

  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override {
    VIT_ASSIGN_OR_RETURN(ServableModel found, ledger_.LeaseServable(ref, &leases_));
    found.directory = CheckpointPath(Directory(found.run), found.step);
    return found;
  }

  void Shutdown(absl::Time deadline) override {
    shutting_down_ = true;
    worker_.Shutdown(deadline);
  }

 private:
  Options WithModels(Options options) {
    options.environment.models = &catalog_;
    return options;
  }

  std::filesystem::path Directory(const std::string& id) const {
    return StateLayout(options_.state_dir).run(id);
  }

  absl::Status CheckAccepting() const {
    if (!shutting_down_) return absl::OkStatus();
    return absl::UnavailableError("vitd is shutting down; retry later");
  }

  static absl::Status CheckWanted(const Cancelled& cancelled) {
    if (!cancelled()) return absl::OkStatus();
    return absl::CancelledError("the caller gave up before the run was queued");
  }

  absl::StatusOr<RunRecord> Lookup(const std::string& query) const {
    VIT_ASSIGN_OR_RETURN(const std::string id, ledger_.Find(query));
    std::optional<RunRecord> record = ledger_.Get(id);
    if (!record.has_value()) return absl::NotFoundError(absl::StrCat("run ", id, " was deleted"));
    return *std::move(record);
  }

  ModelCatalog catalog_;  // before options_, which refer to it
  const Options options_;
  std::atomic<bool> shutting_down_ = false;
  const std::unique_ptr<RunStore> store_;
  HistoryBuffer history_;
  CheckpointLeases leases_;
  EventDispatcher dispatcher_;
  Subscriptions subscriptions_;
  RunLedger ledger_;
  RunWorker worker_;  // last: joins before anything it uses is destroyed
};

}  // namespace

absl::StatusOr<std::unique_ptr<RunManager>> RunManager::Create(Options options) {
  const auto open = [&]() -> absl::StatusOr<std::unique_ptr<RunManager>> {
    VIT_RETURN_IF_ERROR(CreateDirectories(options.state_dir));
    VIT_ASSIGN_OR_RETURN(std::unique_ptr<RunStore> store,
                         RunStore::Open(StateLayout(options.state_dir).database()));
    ReconcileOptions reconcile;
    reconcile.state_dir = options.state_dir;
    reconcile.resume_interrupted = options.resume_interrupted;
    reconcile.list_checkpoints = options.list_checkpoints;
    reconcile.now = options.clock->Now();
    VIT_ASSIGN_OR_RETURN(std::vector<RunRecord> records, ReconcileRuns(reconcile, store.get()));
    return std::unique_ptr<RunManager>(
        new RunManagerImpl(options, std::move(store), std::move(records)));
  };
  absl::StatusOr<std::unique_ptr<RunManager>> manager = open();
  if (!manager.ok()) {
    return Annotate(manager.status(), absl::StrCat("state directory ", options.state_dir.string()));
  }
  return manager;
}

}  // namespace vit
