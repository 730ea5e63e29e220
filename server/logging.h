// The daemon's log: one line per event on standard error, as text for people or JSON for machines.
#ifndef VIT_SERVER_LOGGING_H_
#define VIT_SERVER_LOGGING_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace vit {

enum class LogFormat { kText, kJson };
enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "text" or "json". INVALID_ARGUMENT otherwise.
absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view text);
// "debug", "info", "warning" or "error". INVALID_ARGUMENT otherwise.
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view text);

// A named value that goes with a message: run=3f2a step=1200.
struct LogField {
  template <typename T>
  LogField(absl::string_view k, const T& v) : key(k) {
    if constexpr (std::is_integral_v<T>) {
      value = static_cast<int64_t>(v);
    } else if constexpr (std::is_floating_point_v<T>) {
      value = static_cast<double>(v);
    } else {
      value = std::string(v);
    }
  }
  absl::string_view key;
  std::variant<int64_t, double, std::string> value;
};

// Writes each event as one line. Text: `2026-01-31T12:00:00.123Z info  message key=value`. JSON: an
// object with time, level, message and the fields. Control characters, which can come from file
// names and clients, are escaped, so that no input can forge a line or drive a terminal.
// Thread-safe.
class Logger {
 public:
  // To standard error.
  Logger(LogFormat format, LogLevel level);
  // To `sink`, for tests.
  Logger(LogFormat format, LogLevel level, std::shared_ptr<spdlog::sinks::sink> sink);

  void Debug(absl::string_view message, std::initializer_list<LogField> fields = {});
  void Info(absl::string_view message, std::initializer_list<LogField> fields = {});
  void Warning(absl::string_view message, std::initializer_list<LogField> fields = {});
  void Error(absl::string_view message, std::initializer_list<LogField> fields = {});

  // Sends errors that gRPC and protobuf report through this log too, from now until the process
  // ends. Their log hooks are global functions, so they go through spdlog's default logger.
  void CaptureLibraryLogs();

 private:
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace vit

#endif  // VIT_SERVER_LOGGING_H_
