// The tables of runs.db, and how older ones become the present ones.
#ifndef VIT_CORE_RUNS_STORE_RUN_SCHEMA_H_
#define VIT_CORE_RUNS_STORE_RUN_SCHEMA_H_

#include <string>

#include "absl/status/status.h"
#include "core/runs/store/sqlite.h"

namespace vit {

// Brings a database, new or old, to the present version, which its `user_version` says.
// FAILED_PRECONDITION where a newer version of the program wrote it; `path` is for that message.
absl::Status MigrateRunSchema(SqliteDatabase* db, const std::string& path);

}  // namespace vit

#endif  // VIT_CORE_RUNS_STORE_RUN_SCHEMA_H_
