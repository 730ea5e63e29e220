#include "core/runs/store/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace vit {
namespace {

constexpr int kBusyTimeoutMs = 5000;

absl::StatusCode CodeFor(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::string_view WayOut(int result) {
  switch (result & 0xff) {
    case SQLITE_FULL:
      return "; free some space on its disk";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "; another program holds it: close that and try again";
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return "; check the folder's owner and permissions";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "; move it away: runs with checkpoints are found again by their folders, without "
             "their history";
    default:
      return "";
  }
}

absl::Status MakeError(sqlite3* db, int result, absl::string_view purpose) {
  const char* file = db == nullptr ? nullptr : sqlite3_db_filename(db, "main");
  return absl::Status(
      CodeFor(result),
      absl::StrCat(purpose, ": ", file == nullptr || *file == '\0' ? "database" : file, ": ",
                   db == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(db), WayOut(result)));
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

absl::StatusOr<bool> SqliteStatement::Step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  const absl::Status status =
      result == SQLITE_DONE ? absl::OkStatus() : MakeError(db_, result, purpose_);
  sqlite3_reset(statement_.get());
  if (!status.ok()) return status;
  return false;
}

absl::Status SqliteStatement::Finish() {
  while (true) {
    VIT_ASSIGN_OR_RETURN(const bool more, Step());
    if (!more) return absl::OkStatus();
  }
}

void SqliteStatement::Rewind() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}
int64_t SqliteStatement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}
double SqliteStatement::Double(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}
std::string SqliteStatement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(text),
                     sqlite3_column_bytes(statement_.get(), column));
}

// A failed bind leaves its parameter NULL, which NOT NULL columns refuse; the only causes are a
// wrong index and lack of memory.
void SqliteStatement::BindInt(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}
void SqliteStatement::BindDouble(int index, double value) {
  sqlite3_bind_double(statement_.get(), index, value);
}
void SqliteStatement::BindText(int index, absl::string_view value) {
  sqlite3_bind_text(statement_.get(), index, value.data() == nullptr ? "" : value.data(),
                    static_cast<int>(value.size()), SQLITE_TRANSIENT);
}
void SqliteStatement::BindNull(int index) { sqlite3_bind_null(statement_.get(), index); }

void SqliteDatabase::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

absl::StatusOr<SqliteDatabase> SqliteDatabase::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(
      path.c_str(), &raw,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      nullptr);
  SqliteDatabase db(raw);
  if (result != SQLITE_OK) return MakeError(nullptr, result, absl::StrCat("open ", path));
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  return db;
}

absl::Status SqliteDatabase::Execute(const std::string& sql, absl::string_view purpose) {
  const int result = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : MakeError(db_.get(), result, purpose);
}

absl::StatusOr<SqliteStatement> SqliteDatabase::Prepare(const std::string& sql,
                                                        absl::string_view purpose) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(db_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return MakeError(db_.get(), result, purpose);
  return SqliteStatement(db_.get(), statement, std::string(purpose));
}

absl::StatusOr<int64_t> SqliteDatabase::QueryInt(const std::string& sql,
                                                 absl::string_view purpose) {
  VIT_ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql, purpose));
  VIT_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::InternalError(absl::StrCat(purpose, ": no row"));
  return statement.Int(0);
}

int64_t SqliteDatabase::LastInsertId() const { return sqlite3_last_insert_rowid(db_.get()); }

absl::StatusOr<SqliteTransaction> SqliteTransaction::Begin(SqliteDatabase* db,
                                                           absl::string_view purpose) {
  VIT_RETURN_IF_ERROR(db->Execute("BEGIN IMMEDIATE", purpose));
  return SqliteTransaction(db, std::string(purpose));
}

SqliteTransaction::SqliteTransaction(SqliteTransaction&& other) noexcept
    : db_(std::exchange(other.db_, nullptr)), purpose_(std::move(other.purpose_)) {}

SqliteTransaction::~SqliteTransaction() {
  // Some errors have already rolled it back; a second rollback is then refused, which does no harm.
  if (db_ != nullptr) db_->Execute("ROLLBACK", purpose_).IgnoreError();
}

absl::Status SqliteTransaction::Commit() {
  VIT_RETURN_IF_ERROR(db_->Execute("COMMIT", purpose_));
  db_ = nullptr;
  return absl::OkStatus();
}

}  // namespace vit
