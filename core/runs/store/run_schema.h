// The tables of runs.db, and the migration of older versions.
#ifndef VIT_CORE_RUNS_STORE_RUN_SCHEMA_H_
#define VIT_CORE_RUNS_STORE_RUN_SCHEMA_H_

#include <string>

#include "absl/status/status.h"
#include "core/runs/store/sqlite.h"

namespace vit {

// Brings a database, new or old, to the current version, which its `user_version` records.
// FAILED_PRECONDITION if a newer version of the program wrote it; `path` is for that message.
absl::Status MigrateRunSchema(SqliteDatabase* db, const std::string& path);

}  // namespace vit

#endif  // VIT_CORE_RUNS_STORE_RUN_SCHEMA_H_
