// A thin layer over SQLite's C API: connections and prepared statements that close themselves,
// errors as statuses.
#ifndef VIT_CORE_RUNS_STORE_SQLITE_H_
#define VIT_CORE_RUNS_STORE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace vit {

// A prepared statement. Not thread-safe; must not outlive its connection.
class SqliteStatement {
 public:
  // Rewinds the statement and binds its parameters in order: integers, doubles, text, or
  // std::optional of these (NULL if empty).
  template <typename... Args>
  void Bind(const Args&... args) {
    Rewind();
    int index = 0;
    (BindOne(++index, args), ...);
  }
  // Binds, and runs a statement that returns no rows.
  template <typename... Args>
  absl::Status Run(const Args&... args) {
    Bind(args...);
    return Finish();
  }
  // Advances to the next row and returns whether there is one. An error, or the end, rewinds the
  // statement.
  absl::StatusOr<bool> Step();
  // Ends a read before its last row, so that it holds no snapshot of the database.
  void Rewind();

  // Columns of the current row, from 0.
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  SqliteStatement(sqlite3* db, sqlite3_stmt* statement, std::string purpose)
      : db_(db), statement_(statement), purpose_(std::move(purpose)) {}

  absl::Status Finish();
  void BindInt(int index, int64_t value);
  void BindDouble(int index, double value);
  void BindText(int index, absl::string_view value);
  void BindNull(int index);

  template <typename T>
  void BindOne(int index, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      BindInt(index, static_cast<int64_t>(value));
    } else if constexpr (std::is_floating_point_v<T>) {
      BindDouble(index, value);
    } else {
      BindText(index, value);
    }
  }
  template <typename T>
  void BindOne(int index, const std::optional<T>& value) {
    if (value.has_value()) {
      BindOne(index, *value);
    } else {
      BindNull(index);
    }
  }

  sqlite3* db_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  std::string purpose_;
};

// One connection. Not thread-safe: guard it and its statements by one mutex.
//
// Statuses: RESOURCE_EXHAUSTED for a full disk or no memory, UNAVAILABLE if another process holds
// the database, PERMISSION_DENIED if it cannot be opened or written, DATA_LOSS if it is damaged or
// not a database, else INTERNAL. Messages name the file and the purpose that was given with the
// SQL.
class SqliteDatabase {
 public:
  // Opens or creates `path`, and waits up to five seconds for another connection's lock at every
  // use.
  static absl::StatusOr<SqliteDatabase> Open(const std::string& path);

  // Runs one or several statements without parameters. `purpose` is such as "read the schema
  // version".
  absl::Status Execute(const std::string& sql, absl::string_view purpose);
  absl::StatusOr<SqliteStatement> Prepare(const std::string& sql, absl::string_view purpose);
  // Returns the first column of the only row that `sql` returns.
  absl::StatusOr<int64_t> QueryInt(const std::string& sql, absl::string_view purpose);
  // Returns the id of the last inserted row.
  int64_t LastInsertId() const;

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  explicit SqliteDatabase(sqlite3* db) : db_(db) {}
  std::unique_ptr<sqlite3, Close> db_;
};

// BEGIN IMMEDIATE ... COMMIT; rolled back unless Commit was reached.
class SqliteTransaction {
 public:
  static absl::StatusOr<SqliteTransaction> Begin(SqliteDatabase* db, absl::string_view purpose);
  SqliteTransaction(SqliteTransaction&& other) noexcept;
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  ~SqliteTransaction();

  absl::Status Commit();

 private:
  SqliteTransaction(SqliteDatabase* db, std::string purpose)
      : db_(db), purpose_(std::move(purpose)) {}
  SqliteDatabase* db_;
  std::string purpose_;
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_STORE_SQLITE_H_
