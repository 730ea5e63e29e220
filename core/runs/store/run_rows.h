// Rows of runs.db and the messages that they hold.
#ifndef VIT_CORE_RUNS_STORE_RUN_ROWS_H_
#define VIT_CORE_RUNS_STORE_RUN_ROWS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/runs/run_record.h"
#include "core/runs/store/sqlite.h"
#include "google/protobuf/timestamp.pb.h"
#include "vit/v1/training.pb.h"

namespace vit {

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

// Times are stored as nanoseconds since 1970.
int64_t ToNanos(const google::protobuf::Timestamp& timestamp);
google::protobuf::Timestamp FromNanos(int64_t nanos);

// Runs `statement` with the values of VIT_RUN_COLUMNS.
absl::Status WriteRun(const RunRecord& record, SqliteStatement* statement);
// Reads VIT_RUN_COLUMNS and the sequence. DATA_LOSS for a row that cannot be understood.
absl::StatusOr<RunRecord> ReadRun(const SqliteStatement& row);

// Reads a number, stored as NULL if it is NaN.
double ReadMetric(const SqliteStatement& row, int column);
// Reads VIT_POINT_COLUMNS.
vit::v1::MetricPoint ReadPoint(const SqliteStatement& row);

}  // namespace vit

#endif  // VIT_CORE_RUNS_STORE_RUN_ROWS_H_
