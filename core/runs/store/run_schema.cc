#include "core/runs/store/run_schema.h"

#include <iterator>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace vit {
namespace {

// Entry n brings a database of version n to version n + 1. Entries are never changed once released,
// only added. Times are nanoseconds since 1970, UTC; states are names of RunState; splits numbers
// of Split; NULL in a metric is "not a number".
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE runs (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  request_id TEXT UNIQUE,
  state TEXT NOT NULL,
  message TEXT NOT NULL,
  preset TEXT NOT NULL,
  data_source TEXT NOT NULL,
  data_fingerprint TEXT NOT NULL,
  spec TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  start_time INTEGER,
  end_time INTEGER,
  last_start INTEGER,
  queue_order INTEGER NOT NULL,
  step INTEGER NOT NULL,
  total_steps INTEGER NOT NULL,
  total_epochs REAL NOT NULL,
  steps_per_epoch INTEGER NOT NULL,
  bad_images INTEGER NOT NULL,
  parameter_count INTEGER NOT NULL,
  class_count INTEGER NOT NULL,
  estimated_memory_bytes INTEGER NOT NULL,
  train_size INTEGER NOT NULL,
  validation_size INTEGER NOT NULL,
  restarts INTEGER NOT NULL,
  restart_step INTEGER NOT NULL
);
CREATE TABLE metrics (
  run TEXT NOT NULL,
  split INTEGER NOT NULL,
  step INTEGER NOT NULL,
  epoch REAL,
  loss REAL,
  accuracy REAL,
  learning_rate REAL,
  grad_norm REAL,
  images_per_second REAL,
  time INTEGER NOT NULL,
  PRIMARY KEY (run, split, step)
) WITHOUT ROWID;
CREATE TABLE checkpoints (
  run TEXT NOT NULL,
  step INTEGER NOT NULL,
  accuracy REAL,
  loss REAL,
  best INTEGER NOT NULL,
  time INTEGER NOT NULL,
  PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('history_syncs', 0);
)sql",
    // What an evaluation reports besides loss and accuracy; NULL in the points of training.
    R"sql(
ALTER TABLE metrics ADD COLUMN top_k_accuracy REAL;
ALTER TABLE metrics ADD COLUMN precision REAL;
ALTER TABLE metrics ADD COLUMN recall REAL;
ALTER TABLE metrics ADD COLUMN f1 REAL;
ALTER TABLE metrics ADD COLUMN precision_weighted REAL;
ALTER TABLE metrics ADD COLUMN f1_weighted REAL;
ALTER TABLE metrics ADD COLUMN calibration_error REAL;
)sql",
    // Starts are counted, as the clock may be set back. Texts of several lines hold one entry per
    // line. `specs` holds the specs of runs that were resumed with changes.
    R"sql(
ALTER TABLE runs ADD COLUMN start_order INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET start_order =
  (SELECT COUNT(*) FROM runs AS other
   WHERE (other.last_start, other.sequence) <= (runs.last_start, runs.sequence))
  WHERE last_start IS NOT NULL;
ALTER TABLE runs DROP COLUMN last_start;
ALTER TABLE runs ADD COLUMN data_notes TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN bad_validation_images INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN first_bad_images TEXT NOT NULL DEFAULT '';
ALTER TABLE metrics ADD COLUMN top_k INTEGER;
CREATE TABLE specs (
  run TEXT NOT NULL,
  step INTEGER NOT NULL,
  spec TEXT NOT NULL,
  PRIMARY KEY (run, step)
) WITHOUT ROWID;
)sql",
    // The device's memory, separate from the host's.
    R"sql(
ALTER TABLE runs ADD COLUMN estimated_device_memory_bytes INTEGER NOT NULL DEFAULT 0;
)sql",
};
constexpr int kVersion = std::size(kMigrations);

}  // namespace

absl::Status MigrateRunSchema(SqliteDatabase* db, const std::string& path) {
  VIT_ASSIGN_OR_RETURN(const int64_t version,
                       db->QueryInt("PRAGMA user_version", "read the schema version"));
  if (version > kVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " has schema version ", version, ", and this program knows versions up to ", kVersion,
        ": a newer release wrote it; use that release, or another state directory"));
  }
  for (int64_t next = version; next < kVersion; ++next) {
    const std::string purpose = absl::StrCat("migrate to schema version ", next + 1);
    VIT_ASSIGN_OR_RETURN(SqliteTransaction transaction, SqliteTransaction::Begin(db, purpose));
    VIT_RETURN_IF_ERROR(db->Execute(kMigrations[next], purpose));
    VIT_RETURN_IF_ERROR(db->Execute(absl::StrCat("PRAGMA user_version = ", next + 1), purpose));
    VIT_RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

}  // namespace vit
