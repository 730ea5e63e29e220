// The database of runs: runs.db in the state directory.
#ifndef VIT_CORE_RUNS_STORE_RUN_STORE_H_
#define VIT_CORE_RUNS_STORE_RUN_STORE_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/base/mutex.h"
#include "core/runs/run_record.h"
#include "core/runs/store/sqlite.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Runs, their checkpoints and their metric history, in SQLite (write-ahead log, synchronous=FULL).
// What a call has written is on disk when it returns, except for AppendHistory (see there).
// Thread-safe: one connection writes and another reads, so that reading a long history delays no
// writer. Errors are as in SqliteDatabase.
class RunStore {
 public:
  // Opens or creates the database and brings an older one up to date. FAILED_PRECONDITION if a
  // newer version of the program wrote it.
  static absl::StatusOr<std::unique_ptr<RunStore>> Open(const std::filesystem::path& path);

  // Returns every run, by ascending sequence, with its checkpoints, its specs and the newest point
  // of each split.
  absl::StatusOr<std::vector<RunRecord>> LoadRuns();
  // Sets record->sequence.
  absl::Status InsertRun(RunRecord* record);
  // Replaces what is stored of these runs, checkpoints and specs included, all or none.
  absl::Status UpdateRuns(absl::Span<const RunRecord> records);
  // Deletes a run with its history and checkpoints. OK if there is no such run.
  absl::Status DeleteRun(const std::string& run);

  struct HistoryEntry {
    std::string run;
    vit::v1::MetricPoint point;
  };
  // Adds points, replacing those of the same run, step and split. They then survive the end of the
  // process, and a power failure once SyncHistory or any other writing call has returned.
  absl::Status AppendHistory(absl::Span<const HistoryEntry> entries);
  absl::Status SyncHistory();
  // Removes the points after `step`.
  absl::Status DropHistoryAfter(const std::string& run, int64_t step);
  // Returns points by ascending step, the training split first; `split` SPLIT_UNSPECIFIED means
  // both. If `max_points` is above 0, returns at most that many, evenly spaced, with the first and
  // last of each split; validation, the rarer split, gets up to half.
  absl::StatusOr<std::vector<vit::v1::MetricPoint>> History(const std::string& run,
                                                            vit::v1::Split split,
                                                            int64_t after_step, int max_points);
  // Sets run->last_train and last_validation from the history.
  absl::Status LoadLastPoints(vit::v1::Run* run);

 private:
  // The writing connection's statements.
  struct Writer {
    SqliteDatabase db;
    SqliteStatement insert_run;
    SqliteStatement update_run;
    SqliteStatement delete_run;
    SqliteStatement insert_point;
    SqliteStatement drop_points;
    SqliteStatement insert_checkpoint;
    SqliteStatement delete_checkpoints;
    SqliteStatement insert_spec;
    SqliteStatement delete_specs;
    SqliteStatement touch;
  };
  struct Reader {
    SqliteDatabase db;
    SqliteStatement runs;
    SqliteStatement checkpoints;
    SqliteStatement specs;
    SqliteStatement count_points;
    SqliteStatement points;
    SqliteStatement last_point;
  };
  RunStore(Writer writer, Reader reader) : writer_(std::move(writer)), reader_(std::move(reader)) {}

  static absl::StatusOr<Writer> OpenWriter(const std::string& path);
  static absl::StatusOr<Reader> OpenReader(const std::string& path);
  absl::Status WriteCheckpoints(const RunRecord& record) VIT_REQUIRES(writer_mu_);
  absl::Status WriteSpecs(const RunRecord& record) VIT_REQUIRES(writer_mu_);
  absl::Status InsertPoints(absl::Span<const HistoryEntry> entries) VIT_REQUIRES(writer_mu_);
  absl::StatusOr<std::vector<vit::v1::CheckpointInfo>> ReadCheckpoints(const std::string& run)
      VIT_REQUIRES(reader_mu_);
  absl::StatusOr<std::vector<vit::v1::SpecFromStep>> ReadSpecs(const std::string& run)
      VIT_REQUIRES(reader_mu_);
  absl::Status ReadLastPoint(vit::v1::Split split, vit::v1::Run* run) VIT_REQUIRES(reader_mu_);
  absl::Status ReadSplit(const std::string& run, vit::v1::Split split, int64_t after_step,
                         int64_t count, int64_t wanted, std::vector<vit::v1::MetricPoint>* points)
      VIT_REQUIRES(reader_mu_);

  Mutex writer_mu_;
  Writer writer_ VIT_GUARDED_BY(writer_mu_);
  // Whether points are committed that no fsync has covered yet.
  bool unsynced_ VIT_GUARDED_BY(writer_mu_) = false;
  Mutex reader_mu_;
  Reader reader_ VIT_GUARDED_BY(reader_mu_);
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_STORE_RUN_STORE_H_
