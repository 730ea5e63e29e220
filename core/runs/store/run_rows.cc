#include "core/runs/store/run_rows.h"

#include <limits>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "proto/spec_text.h"
#include "proto/time.h"

namespace vit {

using vit::v1::MetricPoint;
using vit::v1::Split;

namespace {

using Lines = google::protobuf::RepeatedPtrField<std::string>;

// Joins entries, one per line; line breaks within one become spaces.
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

}  // namespace

int64_t ToNanos(const google::protobuf::Timestamp& timestamp) {
  return absl::ToUnixNanos(FromProto(timestamp));
}

google::protobuf::Timestamp FromNanos(int64_t nanos) { return ToProto(absl::FromUnixNanos(nanos)); }

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

double ReadMetric(const SqliteStatement& row, int column) {
  return row.IsNull(column) ? std::numeric_limits<double>::quiet_NaN() : row.Double(column);
}

MetricPoint ReadPoint(const SqliteStatement& row) {
  MetricPoint point;
  point.set_split(static_cast<Split>(row.Int(0)));
  point.set_step(row.Int(1));
  point.set_epoch(ReadMetric(row, 2));
  point.set_loss(ReadMetric(row, 3));
  point.set_accuracy(ReadMetric(row, 4));
  point.set_learning_rate(ReadMetric(row, 5));
  point.set_grad_norm(ReadMetric(row, 6));
  point.set_images_per_second(ReadMetric(row, 7));
  *point.mutable_time() = FromNanos(row.Int(8));
  if (row.IsNull(9)) return point;
  vit::v1::EvaluationMetrics* evaluation = point.mutable_evaluation();
  evaluation->set_top_k_accuracy(ReadMetric(row, 9));
  evaluation->set_precision(ReadMetric(row, 10));
  evaluation->set_recall(ReadMetric(row, 11));
  evaluation->set_f1(ReadMetric(row, 12));
  evaluation->set_precision_weighted(ReadMetric(row, 13));
  evaluation->set_f1_weighted(ReadMetric(row, 14));
  evaluation->set_calibration_error(ReadMetric(row, 15));
  if (!row.IsNull(16)) evaluation->set_top_k(static_cast<int32_t>(row.Int(16)));
  return point;
}

}  // namespace vit
