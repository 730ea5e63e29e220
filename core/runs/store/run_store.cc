#include "core/runs/store/run_store.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/runs/store/run_rows.h"
#include "core/runs/store/run_schema.h"
#include "proto/spec_text.h"
#include "proto/time.h"

namespace vit {

using vit::v1::CheckpointInfo;
using vit::v1::MetricPoint;
using vit::v1::Split;

absl::StatusOr<RunStore::Writer> RunStore::OpenWriter(const std::string& path) {
  VIT_ASSIGN_OR_RETURN(SqliteDatabase db, SqliteDatabase::Open(path));
  VIT_RETURN_IF_ERROR(db.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
                                 "open the database of runs"));
  VIT_RETURN_IF_ERROR(MigrateRunSchema(&db, path));
  VIT_ASSIGN_OR_RETURN(auto insert_run, db.Prepare("INSERT INTO runs (" VIT_RUN_COLUMNS
                                                   ") VALUES (" VIT_RUN_PARAMETERS ")",
                                                   "store a run"));
  VIT_ASSIGN_OR_RETURN(auto update_run, db.Prepare("UPDATE runs SET (" VIT_RUN_COLUMNS
                                                   ") = (" VIT_RUN_PARAMETERS ") WHERE id = ?1",
                                                   "update a run"));
  VIT_ASSIGN_OR_RETURN(auto delete_run,
                       db.Prepare("DELETE FROM runs WHERE id = ?", "delete a run"));
  VIT_ASSIGN_OR_RETURN(auto insert_point,
                       db.Prepare("INSERT OR REPLACE INTO metrics (run, " VIT_POINT_COLUMNS
                                  ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                  "store the metric history"));
  VIT_ASSIGN_OR_RETURN(auto drop_points,
                       db.Prepare("DELETE FROM metrics WHERE run = ?1 AND split = ?2 AND step > ?3",
                                  "drop metric history"));
  VIT_ASSIGN_OR_RETURN(auto insert_checkpoint,
                       db.Prepare("INSERT INTO checkpoints (run, step, accuracy, loss, best, time) "
                                  "VALUES (?, ?, ?, ?, ?, ?)",
                                  "store a checkpoint's record"));
  VIT_ASSIGN_OR_RETURN(auto delete_checkpoints, db.Prepare("DELETE FROM checkpoints WHERE run = ?",
                                                           "drop checkpoint records"));
  VIT_ASSIGN_OR_RETURN(auto insert_spec,
                       db.Prepare("INSERT INTO specs (run, step, spec) VALUES (?, ?, ?)",
                                  "store a spec that a run was changed to"));
  VIT_ASSIGN_OR_RETURN(auto delete_specs, db.Prepare("DELETE FROM specs WHERE run = ?",
                                                     "drop the specs of a changed run"));
  VIT_ASSIGN_OR_RETURN(
      auto touch, db.Prepare("UPDATE counters SET value = value + 1 WHERE name = 'history_syncs'",
                             "make the metric history durable"));
  return Writer{std::move(db),
                std::move(insert_run),
                std::move(update_run),
                std::move(delete_run),
                std::move(insert_point),
                std::move(drop_points),
                std::move(insert_checkpoint),
                std::move(delete_checkpoints),
                std::move(insert_spec),
                std::move(delete_specs),
                std::move(touch)};
}

absl::StatusOr<RunStore::Reader> RunStore::OpenReader(const std::string& path) {
  VIT_ASSIGN_OR_RETURN(SqliteDatabase db, SqliteDatabase::Open(path));
  VIT_RETURN_IF_ERROR(db.Execute("PRAGMA query_only = ON", "open the database of runs"));
  VIT_ASSIGN_OR_RETURN(
      auto runs, db.Prepare("SELECT " VIT_RUN_COLUMNS ", sequence FROM runs ORDER BY sequence",
                            "load the runs"));
  VIT_ASSIGN_OR_RETURN(auto checkpoints,
                       db.Prepare("SELECT step, accuracy, loss, best, time FROM checkpoints "
                                  "WHERE run = ? ORDER BY step",
                                  "load checkpoint records"));
  VIT_ASSIGN_OR_RETURN(auto specs,
                       db.Prepare("SELECT step, spec FROM specs WHERE run = ? ORDER BY step",
                                  "load the specs of a changed run"));
  VIT_ASSIGN_OR_RETURN(
      auto count_points,
      db.Prepare("SELECT COUNT(*) FROM metrics WHERE run = ? AND split = ? AND step > ?",
                 "count the metric history"));
  VIT_ASSIGN_OR_RETURN(
      auto points,
      db.Prepare("SELECT " VIT_POINT_COLUMNS
                 " FROM metrics WHERE run = ? AND split = ? AND step > ? ORDER BY step",
                 "read the metric history"));
  VIT_ASSIGN_OR_RETURN(
      auto last_point,
      db.Prepare("SELECT " VIT_POINT_COLUMNS
                 " FROM metrics WHERE run = ? AND split = ? ORDER BY step DESC LIMIT 1",
                 "read the newest metrics"));
  return Reader{std::move(db),        std::move(runs),         std::move(checkpoints),
                std::move(specs),     std::move(count_points), std::move(points),
                std::move(last_point)};
}

absl::StatusOr<std::unique_ptr<RunStore>> RunStore::Open(const std::filesystem::path& path) {
  VIT_ASSIGN_OR_RETURN(Writer writer, OpenWriter(path.string()));
  VIT_ASSIGN_OR_RETURN(Reader reader, OpenReader(path.string()));
  return std::unique_ptr<RunStore>(new RunStore(std::move(writer), std::move(reader)));
}

absl::StatusOr<std::vector<RunRecord>> RunStore::LoadRuns() {
  MutexLock lock(&reader_mu_);
  std::vector<RunRecord> records;
  reader_.runs.Bind();
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool row, reader_.runs.Step());
    if (!row) break;
    absl::StatusOr<RunRecord> record = ReadRun(reader_.runs);
    if (!record.ok()) {
      reader_.runs.Rewind();
      return record.status();
    }
    records.push_back(*std::move(record));
  }
  for (RunRecord& record : records) {
    VIT_ASSIGN_OR_RETURN(std::vector<CheckpointInfo> checkpoints, ReadCheckpoints(record.run.id()));
    SetCheckpoints(std::move(checkpoints), &record);
    VIT_ASSIGN_OR_RETURN(record.specs, ReadSpecs(record.run.id()));
    VIT_RETURN_IF_ERROR(ReadLastPoint(vit::v1::SPLIT_TRAIN, &record.run));
    VIT_RETURN_IF_ERROR(ReadLastPoint(vit::v1::SPLIT_VALIDATION, &record.run));
  }
  return records;
}

absl::StatusOr<std::vector<CheckpointInfo>> RunStore::ReadCheckpoints(const std::string& run) {
  std::vector<CheckpointInfo> checkpoints;
  SqliteStatement& rows = reader_.checkpoints;
  rows.Bind(run);
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return checkpoints;
    CheckpointInfo& info = checkpoints.emplace_back();
    info.set_step(rows.Int(0));
    if (!rows.IsNull(1)) info.set_accuracy(rows.Double(1));
    if (!rows.IsNull(2)) info.set_loss(rows.Double(2));
    info.set_best(rows.Int(3) != 0);
    *info.mutable_time() = FromNanos(rows.Int(4));
  }
}

absl::StatusOr<std::vector<vit::v1::SpecFromStep>> RunStore::ReadSpecs(const std::string& run) {
  std::vector<vit::v1::SpecFromStep> specs;
  SqliteStatement& rows = reader_.specs;
  rows.Bind(run);
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return specs;
    vit::v1::SpecFromStep& spec = specs.emplace_back();
    spec.set_step(rows.Int(0));
    const absl::Status parsed = ParseStoredSpec(rows.Text(1), spec.mutable_spec());
    if (!parsed.ok()) {
      rows.Rewind();
      return Annotate(parsed, absl::StrCat("stored spec of run ", run, " from step ", spec.step()));
    }
  }
}

absl::Status RunStore::ReadLastPoint(Split split, vit::v1::Run* run) {
  const bool train = split == vit::v1::SPLIT_TRAIN;
  train ? run->clear_last_train() : run->clear_last_validation();
  reader_.last_point.Bind(run->id(), static_cast<int>(split));
  VIT_ASSIGN_OR_RETURN(const bool row, reader_.last_point.Step());
  if (!row) return absl::OkStatus();
  *(train ? run->mutable_last_train() : run->mutable_last_validation()) =
      ReadPoint(reader_.last_point);
  reader_.last_point.Rewind();
  return absl::OkStatus();
}

absl::Status RunStore::LoadLastPoints(vit::v1::Run* run) {
  MutexLock lock(&reader_mu_);
  VIT_RETURN_IF_ERROR(ReadLastPoint(vit::v1::SPLIT_TRAIN, run));
  return ReadLastPoint(vit::v1::SPLIT_VALIDATION, run);
}

absl::Status RunStore::InsertRun(RunRecord* record) {
  MutexLock lock(&writer_mu_);
  VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                       SqliteTransaction::Begin(&writer_.db, "store a run"));
  VIT_RETURN_IF_ERROR(WriteRun(*record, &writer_.insert_run));
  const int64_t sequence = writer_.db.LastInsertId();
  VIT_RETURN_IF_ERROR(WriteCheckpoints(*record));
  VIT_RETURN_IF_ERROR(transaction.Commit());
  record->sequence = sequence;
  unsynced_ = false;
  return absl::OkStatus();
}

absl::Status RunStore::UpdateRuns(absl::Span<const RunRecord> records) {
  MutexLock lock(&writer_mu_);
  VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                       SqliteTransaction::Begin(&writer_.db, "update a run"));
  for (const RunRecord& record : records) {
    VIT_RETURN_IF_ERROR(WriteRun(record, &writer_.update_run));
    VIT_RETURN_IF_ERROR(WriteCheckpoints(record));
    VIT_RETURN_IF_ERROR(WriteSpecs(record));
  }
  VIT_RETURN_IF_ERROR(transaction.Commit());
  unsynced_ = false;
  return absl::OkStatus();
}

absl::Status RunStore::WriteCheckpoints(const RunRecord& record) {
  const std::string& id = record.run.id();
  VIT_RETURN_IF_ERROR(writer_.delete_checkpoints.Run(id));
  for (const CheckpointInfo& info : record.checkpoints) {
    std::optional<double> accuracy, loss;
    if (info.has_accuracy()) accuracy = info.accuracy();
    if (info.has_loss()) loss = info.loss();
    VIT_RETURN_IF_ERROR(writer_.insert_checkpoint.Run(id, info.step(), accuracy, loss, info.best(),
                                                      ToNanos(info.time())));
  }
  return absl::OkStatus();
}

absl::Status RunStore::WriteSpecs(const RunRecord& record) {
  const std::string& id = record.run.id();
  VIT_RETURN_IF_ERROR(writer_.delete_specs.Run(id));
  for (const vit::v1::SpecFromStep& spec : record.specs) {
    VIT_RETURN_IF_ERROR(writer_.insert_spec.Run(id, spec.step(), MessageToText(spec.spec())));
  }
  return absl::OkStatus();
}

absl::Status RunStore::DeleteRun(const std::string& run) {
  MutexLock lock(&writer_mu_);
  VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                       SqliteTransaction::Begin(&writer_.db, "delete a run"));
  VIT_RETURN_IF_ERROR(writer_.delete_run.Run(run));
  VIT_RETURN_IF_ERROR(writer_.delete_checkpoints.Run(run));
  VIT_RETURN_IF_ERROR(writer_.delete_specs.Run(run));
  for (Split split : {vit::v1::SPLIT_TRAIN, vit::v1::SPLIT_VALIDATION}) {
    VIT_RETURN_IF_ERROR(
        writer_.drop_points.Run(run, static_cast<int>(split), std::numeric_limits<int64_t>::min()));
  }
  VIT_RETURN_IF_ERROR(transaction.Commit());
  unsynced_ = false;
  return absl::OkStatus();
}

constexpr char kAppendHistory[] = "store the metric history";

absl::Status RunStore::InsertPoints(absl::Span<const HistoryEntry> entries) {
  VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                       SqliteTransaction::Begin(&writer_.db, kAppendHistory));
  for (const HistoryEntry& entry : entries) {
    const MetricPoint& point = entry.point;
    const auto evaluated = [&](double (vit::v1::EvaluationMetrics::*metric)() const) {
      return point.has_evaluation() ? std::optional((point.evaluation().*metric)()) : std::nullopt;
    };
    using E = vit::v1::EvaluationMetrics;
    std::optional<int64_t> top_k;
    if (point.evaluation().top_k() > 0) top_k = point.evaluation().top_k();
    VIT_RETURN_IF_ERROR(writer_.insert_point.Run(
        entry.run, static_cast<int>(point.split()), point.step(), point.epoch(), point.loss(),
        point.accuracy(), point.learning_rate(), point.grad_norm(), point.images_per_second(),
        ToNanos(point.time()), evaluated(&E::top_k_accuracy), evaluated(&E::precision),
        evaluated(&E::recall), evaluated(&E::f1), evaluated(&E::precision_weighted),
        evaluated(&E::f1_weighted), evaluated(&E::calibration_error), top_k));
  }
  return transaction.Commit();
}

absl::Status RunStore::AppendHistory(absl::Span<const HistoryEntry> entries) {
  if (entries.empty()) return absl::OkStatus();
  MutexLock lock(&writer_mu_);
  // NORMAL: the log is written but not fsynced at COMMIT. History is only ever read together with a
  // checkpoint, before which SyncHistory is called.
  VIT_RETURN_IF_ERROR(writer_.db.Execute("PRAGMA synchronous = NORMAL", kAppendHistory));
  const absl::Status written = InsertPoints(entries);
  if (written.ok()) unsynced_ = true;
  VIT_RETURN_IF_ERROR(writer_.db.Execute("PRAGMA synchronous = FULL", kAppendHistory));
  return written;
}

absl::Status RunStore::SyncHistory() {
  MutexLock lock(&writer_mu_);
  if (!unsynced_) return absl::OkStatus();
  // The fsync of any commit covers the whole log, so the smallest change is enough.
  VIT_RETURN_IF_ERROR(writer_.touch.Run());
  unsynced_ = false;
  return absl::OkStatus();
}

absl::Status RunStore::DropHistoryAfter(const std::string& run, int64_t step) {
  MutexLock lock(&writer_mu_);
  VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                       SqliteTransaction::Begin(&writer_.db, "drop metric history"));
  for (Split split : {vit::v1::SPLIT_TRAIN, vit::v1::SPLIT_VALIDATION}) {
    VIT_RETURN_IF_ERROR(writer_.drop_points.Run(run, static_cast<int>(split), step));
  }
  VIT_RETURN_IF_ERROR(transaction.Commit());
  unsynced_ = false;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<MetricPoint>> RunStore::History(const std::string& run, Split split,
                                                           int64_t after_step, int max_points) {
  std::vector<Split> splits = {split};
  if (split == vit::v1::SPLIT_UNSPECIFIED) {
    splits = {vit::v1::SPLIT_TRAIN, vit::v1::SPLIT_VALIDATION};
  }
  MutexLock lock(&reader_mu_);
  std::vector<int64_t> counts;
  for (Split s : splits) {
    reader_.count_points.Bind(run, static_cast<int>(s), after_step);
    VIT_RETURN_IF_ERROR(reader_.count_points.Step());
    counts.push_back(reader_.count_points.Int(0));
    reader_.count_points.Rewind();
  }
  std::vector<int64_t> wanted = counts;
  if (max_points > 0 && counts.size() == 1) {
    wanted[0] = std::min<int64_t>(counts[0], max_points);
  } else if (max_points > 0 && counts[0] + counts[1] > max_points) {
    wanted[1] = std::min<int64_t>(counts[1], max_points / 2);
    wanted[0] = std::min<int64_t>(counts[0], max_points - wanted[1]);
    wanted[1] = std::min<int64_t>(counts[1], max_points - wanted[0]);
  }
  std::vector<MetricPoint> points;
  for (size_t i = 0; i < splits.size(); ++i) {
    VIT_RETURN_IF_ERROR(ReadSplit(run, splits[i], after_step, counts[i], wanted[i], &points));
  }
  // Each split is in order already, and training comes first.
  std::stable_sort(points.begin(), points.end(),
                   [](const MetricPoint& a, const MetricPoint& b) { return a.step() < b.step(); });
  return points;
}

// Appends `wanted` of `count` points, evenly spaced.
absl::Status RunStore::ReadSplit(const std::string& run, Split split, int64_t after_step,
                                 int64_t count, int64_t wanted, std::vector<MetricPoint>* points) {
  SqliteStatement& rows = reader_.points;
  rows.Bind(run, static_cast<int>(split), after_step);
  int64_t taken = 0;
  for (int64_t row = 0; taken < wanted; ++row) {
    VIT_ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    // If only one point is wanted, takes the last.
    const int64_t next = wanted == 1 ? count - 1 : taken * (count - 1) / (wanted - 1);
    if (row < next) continue;
    points->push_back(ReadPoint(rows));
    ++taken;
  }
  rows.Rewind();
  return absl::OkStatus();
}

}  // namespace vit
