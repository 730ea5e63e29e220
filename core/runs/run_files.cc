#include "core/runs/run_files.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/runs/state_layout.h"
#include "proto/spec_text.h"
#include "proto/time.h"

namespace vit {
namespace fs = std::filesystem;

using vit::v1::CheckpointInfo;

namespace {

constexpr int64_t kMaxSpecBytes = 1 << 20;

// Compares what reconciling can change.
bool Differ(const RunRecord& a, const RunRecord& b) {
  const auto same = [](const CheckpointInfo& x, const CheckpointInfo& y) {
    return x.SerializeAsString() == y.SerializeAsString();
  };
  return a.run.state() != b.run.state() || a.run.step() != b.run.step() ||
         a.run.message() != b.run.message() || a.queue_order != b.queue_order ||
         a.restarts != b.restarts || a.restart_step != b.restart_step ||
         !std::equal(a.checkpoints.begin(), a.checkpoints.end(), b.checkpoints.begin(),
                     b.checkpoints.end(), same);
}

class Reconciler {
 public:
  Reconciler(const ReconcileOptions& options, RunStore* store) : options_(options), store_(store) {}

  absl::StatusOr<std::vector<RunRecord>> Run() {
    VIT_RETURN_IF_ERROR(CreateDirectories(StateLayout(options_.state_dir).runs()));
    VIT_ASSIGN_OR_RETURN(records_, store_->LoadRuns());
    VIT_RETURN_IF_ERROR(VisitFolders());
    const std::vector<RunRecord> before = records_;
    for (RunRecord& record : records_) {
      SetCheckpoints(
          options_.list_checkpoints(StateLayout(options_.state_dir).run(record.run.id())), &record);
      Settle(&record);
    }
    QueueInterrupted();
    // Most starts change nothing, and then need no room on the disk.
    std::vector<RunRecord> changed;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (Differ(before[i], records_[i])) changed.push_back(records_[i]);
    }
    if (!changed.empty()) VIT_RETURN_IF_ERROR(store_->UpdateRuns(changed));
    return std::move(records_);
  }

 private:
  // Removes folders that belong to no run and adopts those that hold checkpoints.
  absl::Status VisitFolders() {
    std::vector<fs::path> folders;
    std::error_code code;
    for (fs::directory_iterator entry(StateLayout(options_.state_dir).runs(), code), end;
         !code && entry != end; entry.increment(code)) {
      if (entry->is_directory(code)) folders.push_back(entry->path());
    }
    if (code) {
      return absl::ErrnoToStatus(code.value(),
                                 absl::StrCat("list ", options_.state_dir.string(), "/runs"));
    }
    std::sort(folders.begin(), folders.end());
    for (const fs::path& folder : folders) VIT_RETURN_IF_ERROR(VisitFolder(folder));
    return absl::OkStatus();
  }

  absl::Status VisitFolder(const fs::path& folder) {
    const std::string id = folder.filename().string();
    const bool removed_aside =
        absl::EndsWith(id, ".removed") && IsRunId(id.substr(0, id.size() - sizeof(".removed") + 1));
    if (!IsRunId(id) && !removed_aside) return absl::OkStatus();  // not ours
    const auto known = std::find_if(records_.begin(), records_.end(),
                                    [&](const RunRecord& r) { return r.run.id() == id; });
    std::error_code code;
    if (removed_aside || fs::exists(StateLayout::deleted(folder), code)) {
      if (known != records_.end()) {
        VIT_RETURN_IF_ERROR(store_->DeleteRun(id));
        records_.erase(known);
      }
      return RemoveTree(folder);
    }
    if (known != records_.end()) return absl::OkStatus();
    std::vector<CheckpointInfo> checkpoints = options_.list_checkpoints(folder);
    if (!checkpoints.empty()) return Adopt(id, folder, std::move(checkpoints));
    // A folder that never had a checkpoint comes from a call that a crash cut off before it was
    // answered. A folder whose checkpoints cannot be read stays as it is.
    return fs::exists(folder / "checkpoints", code) || code ? absl::OkStatus() : RemoveTree(folder);
  }

  absl::Status Adopt(const std::string& id, const fs::path& folder,
                     std::vector<CheckpointInfo> checkpoints) {
    RunRecord record;
    const absl::StatusOr<std::string> text = ReadFile(StateLayout::spec(folder), kMaxSpecBytes);
    // A folder without a specification cannot be used, but it may be someone's work, so it stays.
    if (!text.ok() || !ParseStoredSpec(*text, &record.spec).ok()) return absl::OkStatus();
    vit::v1::Run& run = record.run;
    run.set_id(id);
    run.set_state(vit::v1::RUN_STATE_STOPPED);
    run.set_message(
        "found in the state directory without a record in the database; its history is lost");
    absl::Time created = options_.now;
    std::string error;
    absl::ParseTime("%Y%m%d-%H%M%S", id.substr(0, 15), &created, &error);
    *run.mutable_create_time() = ToProto(created);
    *run.mutable_start_time() = ToProto(created);
    run.set_data_source(record.spec.data().source());
    run.set_class_count(record.spec.model().num_classes());
    run.set_total_steps(record.spec.max_steps());
    run.set_total_epochs(record.spec.epochs());
    SetCheckpoints(std::move(checkpoints), &record);
    SetStepFromCheckpoint(&record);
    VIT_RETURN_IF_ERROR(store_->InsertRun(&record));
    records_.push_back(std::move(record));
    return absl::OkStatus();
  }

  static void SetStepFromCheckpoint(RunRecord* record) {
    const int64_t step = record->checkpoints.empty() ? 0 : record->checkpoints.back().step();
    record->run.set_step(step);
    record->run.set_epoch(0);
  }

  void Settle(RunRecord* record) {
    vit::v1::Run& run = record->run;
    if (run.state() == vit::v1::RUN_STATE_STOPPING) {
      run.set_state(vit::v1::RUN_STATE_STOPPED);
      *run.mutable_end_time() = ToProto(options_.now);
      SetStepFromCheckpoint(record);
    } else if (run.state() == vit::v1::RUN_STATE_RUNNING) {
      run.set_state(vit::v1::RUN_STATE_INTERRUPTED);
      *run.mutable_end_time() = ToProto(options_.now);
      SetStepFromCheckpoint(record);
      run.set_message(
          absl::StrCat("interrupted; its last checkpoint is that of step ", run.step()));
      if (options_.resume_interrupted) CountRestart(record);
    }
    if (record->steps_per_epoch > 0) {
      run.set_epoch(static_cast<double>(run.step()) / static_cast<double>(record->steps_per_epoch));
    }
  }

  void QueueInterrupted() {
    if (!options_.resume_interrupted) return;
    std::vector<RunRecord*> interrupted;
    int64_t first = 0;
    for (RunRecord& record : records_) {
      if (record.run.state() == vit::v1::RUN_STATE_INTERRUPTED) interrupted.push_back(&record);
      if (record.run.state() == vit::v1::RUN_STATE_QUEUED) {
        first = std::min(first, record.queue_order);
      }
    }
    std::sort(interrupted.begin(), interrupted.end(), [](const RunRecord* a, const RunRecord* b) {
      return std::make_pair(a->start_order, a->sequence) <
             std::make_pair(b->start_order, b->sequence);
    });
    int64_t order = first - static_cast<int64_t>(interrupted.size());
    for (RunRecord* record : interrupted) {
      record->run.set_state(vit::v1::RUN_STATE_QUEUED);
      record->run.clear_end_time();
      record->queue_order = order++;
    }
  }

  const ReconcileOptions& options_;
  RunStore* const store_;
  std::vector<RunRecord> records_;
};

}  // namespace

absl::Status WriteSpecFile(const fs::path& run_directory, const vit::v1::TrainingSpec& spec) {
  VIT_RETURN_IF_ERROR(CreateDirectories(run_directory));
  VIT_RETURN_IF_ERROR(WriteFileAtomically(StateLayout::spec(run_directory), MessageToText(spec)));
  return SyncDirectory(run_directory.parent_path());
}

absl::Status MarkDeleted(const fs::path& run_directory) {
  std::error_code code;
  if (!fs::exists(run_directory, code)) return absl::OkStatus();
  return WriteFileAtomically(StateLayout::deleted(run_directory), "");
}

absl::Status UnmarkDeleted(const fs::path& run_directory) {
  std::error_code code;
  fs::remove(StateLayout::deleted(run_directory), code);
  return code ? absl::ErrnoToStatus(
                    code.value(),
                    absl::StrCat("remove ", StateLayout::deleted(run_directory).string()))
              : absl::OkStatus();
}

absl::StatusOr<std::vector<RunRecord>> ReconcileRuns(const ReconcileOptions& options,
                                                     RunStore* store) {
  return Reconciler(options, store).Run();
}

}  // namespace vit
