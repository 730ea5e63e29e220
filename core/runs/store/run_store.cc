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
#include "core/runs/store/run_schema.h"
#include "proto/spec_text.h"
#include "proto/time.h"

namespace vit {

using vit::v1::CheckpointInfo;
using vit::v1::MetricPoint;
using vit::v1::Split;

namespace {

// In the order of WriteRun and ReadRun.
#define VIT_RUN_COLUMNS                                                                 \
  "id, name, request_id, state, message, preset, data_source, data_fingerprint, spec, " \
  "create_time, start_time, end_time, start_order, queue_order, step, total_steps, "    \
  "total_epochs, steps_per_epoch, bad_images, parameter_count, class_count, "           \
  "estimated_memory_bytes, train_size, validation_size, restarts, restart_step, "       \
  "data_notes, bad_validation_images, first_bad_images, estimated_device_memory_bytes"
#define VIT_RUN_PARAMETERS                                                                      \
  "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, " \
  "?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30"
#define VIT_POINT_COLUMNS                                                                   \
  "split, step, epoch, loss, accuracy, learning_rate, grad_norm, images_per_second, time, " \
  "top_k_accuracy, precision, recall, f1, precision_weighted, f1_weighted, "                \
  "calibration_error, top_k"

int64_t ToNanos(const google::protobuf::Timestamp& timestamp) {
  return absl::ToUnixNanos(FromProto(timestamp));
}

google::protobuf::Timestamp FromNanos(int64_t nanos) { return ToProto(absl::FromUnixNanos(nanos)); }

using Lines = google::protobuf::RepeatedPtrField<std::string>;

// One entry a line; line breaks within one become spaces.
std::string JoinLines(const Lines& lines) {
  return absl::StrJoin(lines, "\n", [](std::string* out, const std::string& line) {
    absl::StrAppend(out, absl::StrReplaceAll(line, {{"\n", " "}}));
  });
}

void SplitLines(const std::string& text, Lines* lines) {
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    *lines->Add() = std::string(line);
  }
}

absl::Status WriteRun(const RunRecord& record, SqliteStatement* statement) {
  const vit::v1::Run& run = record.run;
  std::optional<std::string> request_id;
  if (!record.request_id.empty()) request_id = record.request_id;
  std::optional<int64_t> start, end;
  if (run.has_start_time()) start = ToNanos(run.start_time());
  if (run.has_end_time()) end = ToNanos(run.end_time());
  return statement->Run(
      run.id(), run.name(), request_id, vit::v1::RunState_Name(run.state()), run.message(),
      run.preset(), run.data_source(), record.data_fingerprint, MessageToText(record.spec),
      ToNanos(run.create_time()), start, end, record.start_order, record.queue_order, run.step(),
      run.total_steps(), run.total_epochs(), record.steps_per_epoch, run.bad_images(),
      run.parameter_count(), run.class_count(), record.estimated_memory.host_bytes,
      run.train_size(), run.validation_size(), record.restarts, record.restart_step,
      JoinLines(run.data_notes()), run.bad_validation_images(), JoinLines(run.first_bad_images()),
      record.estimated_memory.device_bytes);
}

absl::StatusOr<RunRecord> ReadRun(const SqliteStatement& row) {
  RunRecord record;
  vit::v1::Run& run = record.run;
  int column = 0;
  run.set_id(row.Text(column++));
  run.set_name(row.Text(column++));
  record.request_id = row.Text(column++);
  vit::v1::RunState state;
  if (!vit::v1::RunState_Parse(row.Text(column++), &state)) {
    return absl::DataLossError(
        absl::StrCat("run ", run.id(), " has the unknown state '", row.Text(column - 1), "'"));
  }
  run.set_state(state);
  run.set_message(row.Text(column++));
  run.set_preset(row.Text(column++));
  run.set_data_source(row.Text(column++));
  record.data_fingerprint = row.Text(column++);
  VIT_RETURN_IF_ERROR(Annotate(ParseStoredSpec(row.Text(column++), &record.spec),
                               absl::StrCat("stored spec of run ", run.id())));
  *run.mutable_create_time() = FromNanos(row.Int(column++));
  if (!row.IsNull(column)) *run.mutable_start_time() = FromNanos(row.Int(column));
  ++column;
  if (!row.IsNull(column)) *run.mutable_end_time() = FromNanos(row.Int(column));
  ++column;
  record.start_order = row.Int(column++);
  record.queue_order = row.Int(column++);
  run.set_step(row.Int(column++));
  run.set_total_steps(row.Int(column++));
  run.set_total_epochs(row.Double(column++));
  record.steps_per_epoch = row.Int(column++);
  run.set_bad_images(row.Int(column++));
  run.set_parameter_count(row.Int(column++));
  run.set_class_count(static_cast<int32_t>(row.Int(column++)));
  record.estimated_memory.host_bytes = row.Int(column++);
  run.set_train_size(row.Int(column++));
  run.set_validation_size(row.Int(column++));
  record.restarts = static_cast<int>(row.Int(column++));
  record.restart_step = row.Int(column++);
  SplitLines(row.Text(column++), run.mutable_data_notes());
  run.set_bad_validation_images(row.Int(column++));
  SplitLines(row.Text(column++), run.mutable_first_bad_images());
  record.estimated_memory.device_bytes = row.Int(column++);
  record.sequence = row.Int(column++);
  return record;
}

double Metric(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? std::numeric_limits<double>::quiet_NaN() : row.Double(column);
}

MetricPoint ReadPoint(const SqliteStatement& row) {
  MetricPoint point;
  point.set_split(static_cast<Split>(row.Int(0)));
  point.set_step(row.Int(1));
  point.set_epoch(Metric(row, 2));
  point.set_loss(Metric(row, 3));
  point.set_accuracy(Metric(row, 4));
  point.set_learning_rate(Metric(row, 5));
  point.set_grad_norm(Metric(row, 6));
  point.set_images_per_second(Metric(row, 7));
  *point.mutable_time() = FromNanos(row.Int(8));
  if (row.IsNull(9)) return point;
  vit::v1::EvaluationMetrics* evaluation = point.mutable_evaluation();
  evaluation->set_top_k_accuracy(Metric(row, 9));
  evaluation->set_precision(Metric(row, 10));
  evaluation->set_recall(Metric(row, 11));
  evaluation->set_f1(Metric(row, 12));
  evaluation->set_precision_weighted(Metric(row, 13));
  evaluation->set_f1_weighted(Metric(row, 14));
  evaluation->set_calibration_error(Metric(row, 15));
  if (!row.IsNull(16)) evaluation->set_top_k(static_cast<int32_t>(row.Int(16)));
  return point;
}

}  // namespace

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

absl::Status RunStore::AppendHistory(absl::Span<const HistoryEntry> entries) {
  if (entries.empty()) return absl::OkStatus();
  constexpr const char* kPurpose = "store the metric history";
  MutexLock lock(&writer_mu_);
  // NORMAL: the log is written but not fsynced at COMMIT. History is only ever read together with a
  // checkpoint, before which SyncHistory is called.
  VIT_RETURN_IF_ERROR(writer_.db.Execute("PRAGMA synchronous = NORMAL", kPurpose));
  const absl::Status written = [&]() -> absl::Status {
    VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction,
                         SqliteTransaction::Begin(&writer_.db, kPurpose));
    for (const HistoryEntry& entry : entries) {
      const MetricPoint& point = entry.point;
      const auto evaluated = [&](double (vit::v1::EvaluationMetrics::*metric)() const) {
        return point.has_evaluation() ? std::optional((point.evaluation().*metric)())
                                      : std::nullopt;
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
  }();
  if (written.ok()) unsynced_ = true;
  VIT_RETURN_IF_ERROR(writer_.db.Execute("PRAGMA synchronous = FULL", kPurpose));
  return written;
}

absl::Status RunStore::SyncHistory() {
  MutexLock lock(&writer_mu_);
  if (!unsynced_) return absl::OkStatus();
  // The fsync of any commit covers the whole log, so that the smallest change will do.
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
    // Of a single point, the last is the one of interest.
    const int64_t next = wanted == 1 ? count - 1 : taken * (count - 1) / (wanted - 1);
    if (row < next) continue;
    points->push_back(ReadPoint(rows));
    ++taken;
  }
  rows.Rewind();
  return absl::OkStatus();
}

}  // namespace vit
