#include "server/logging.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace vit {
namespace {

// Separates a message from its fields on the way from Logger to LineFormatter; CleanText removes it
// from both.
constexpr char kFieldSeparator = '\x1e';

const char* LevelName(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "debug";
    case spdlog::level::info:
      return "info";
    case spdlog::level::warn:
      return "warning";
    default:
      return "error";
  }
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Returns `text` on one line: C0 and C1 control characters as \n or \x1b, everything else, UTF-8
// included, unchanged.
std::string CleanText(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = text[i];
    const bool c1 =
        c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c < 0x20 || c == 0x7f) {
      absl::StrAppend(&out, "\\x", absl::Hex(c, absl::kZeroPad2));
    } else if (c1) {
      absl::StrAppend(&out, "\\x",
                      absl::Hex(static_cast<unsigned char>(text[++i]), absl::kZeroPad2));
    } else {
      out += text[i];
    }
  }
  return out;
}

// Returns a field's value as text, quoted if it would otherwise not be one word.
std::string FieldText(const nlohmann::json& value) {
  if (!value.is_string()) return value.dump();
  std::string text = CleanText(value.get<std::string>());
  if (!text.empty() && text.find_first_of(" \"=") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

class LineFormatter : public spdlog::formatter {
 public:
  explicit LineFormatter(LogFormat format) : format_(format) {}

  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& dest) override {
    absl::string_view payload(msg.payload.data(), msg.payload.size());
    const size_t separator = payload.find(kFieldSeparator);
    const std::string message(payload.substr(0, separator));
    nlohmann::ordered_json fields = nlohmann::ordered_json::object();
    if (separator != absl::string_view::npos) {
      const absl::string_view text = payload.substr(separator + 1);
      fields = nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr,
                                             /*allow_exceptions=*/false);
    }
    const std::string time =
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(msg.time), absl::UTCTimeZone());
    std::string line;
    if (format_ == LogFormat::kJson) {
      nlohmann::ordered_json object;
      object["time"] = time;
      object["level"] = LevelName(msg.level);
      object["message"] = message;
      for (const auto& [key, value] : fields.items()) object[key] = value;
      // ASCII only: JSON itself would let DEL and the C1 control characters through.
      line = object.dump(-1, ' ', /*ensure_ascii=*/true,
                         nlohmann::ordered_json::error_handler_t::replace);
    } else {
      line = absl::StrCat(time, " ", LevelName(msg.level),
                          std::string(8 - strlen(LevelName(msg.level)), ' '), CleanText(message));
      for (const auto& [key, value] : fields.items()) {
        absl::StrAppend(&line, " ", key, "=", FieldText(value));
      }
    }
    line += '\n';
    dest.append(line.data(), line.data() + line.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(format_);
  }

 private:
  const LogFormat format_;
};

void Write(spdlog::logger* logger, spdlog::level::level_enum level, absl::string_view message,
           std::initializer_list<LogField> fields) {
  if (!logger->should_log(level)) return;
  std::string payload(message);
  for (char& c : payload) {
    if (c == kFieldSeparator) c = ' ';
  }
  if (fields.size() > 0) {
    nlohmann::ordered_json object;
    for (const LogField& field : fields) {
      const std::string key(field.key);
      std::visit([&](const auto& value) { object[key] = value; }, field.value);
    }
    // dump() escapes control characters, the separator among them.
    absl::StrAppend(&payload, std::string(1, kFieldSeparator),
                    object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  logger->log(level, spdlog::string_view_t(payload.data(), payload.size()));
}

void LogFromGrpc(gpr_log_func_args* args) {
  // vitd reports a port that it cannot listen on in its own words.
  const bool told = absl::EndsWith(args->file, "chttp2_server.cc");
  const auto level = args->severity == GPR_LOG_SEVERITY_ERROR && !told ? spdlog::level::warn
                                                                       : spdlog::level::debug;
  spdlog::default_logger_raw()->log(level,
                                    spdlog::string_view_t("grpc: " + std::string(args->message)));
}

void LogFromProtobuf(google::protobuf::LogLevel severity, const char*, int,
                     const std::string& message) {
  const auto level =
      severity >= google::protobuf::LOGLEVEL_ERROR ? spdlog::level::warn : spdlog::level::debug;
  spdlog::default_logger_raw()->log(level, spdlog::string_view_t("protobuf: " + message));
}

}  // namespace

absl::StatusOr<LogFormat> ParseLogFormat(absl::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return absl::InvalidArgumentError(
      absl::StrCat("--log-format '", text, "': expected text or json"));
}

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warning") return LogLevel::kWarning;
  if (text == "error") return LogLevel::kError;
  return absl::InvalidArgumentError(
      absl::StrCat("--log-level '", text, "': expected debug, info, warning or error"));
}

Logger::Logger(LogFormat format, LogLevel level)
    : Logger(format, level, std::make_shared<spdlog::sinks::stderr_sink_mt>()) {}

Logger::Logger(LogFormat format, LogLevel level, std::shared_ptr<spdlog::sinks::sink> sink)
    : logger_(std::make_shared<spdlog::logger>("vitd", std::move(sink))) {
  logger_->set_formatter(std::make_unique<LineFormatter>(format));
  logger_->set_level(SpdlogLevel(level));
  logger_->flush_on(spdlog::level::trace);
}

void Logger::Debug(absl::string_view message, std::initializer_list<LogField> fields) {
  Write(logger_.get(), spdlog::level::debug, message, fields);
}
void Logger::Info(absl::string_view message, std::initializer_list<LogField> fields) {
  Write(logger_.get(), spdlog::level::info, message, fields);
}
void Logger::Warning(absl::string_view message, std::initializer_list<LogField> fields) {
  Write(logger_.get(), spdlog::level::warn, message, fields);
}
void Logger::Error(absl::string_view message, std::initializer_list<LogField> fields) {
  Write(logger_.get(), spdlog::level::err, message, fields);
}

void Logger::CaptureLibraryLogs() {
  spdlog::set_default_logger(logger_);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(&LogFromGrpc);
  google::protobuf::SetLogHandler(&LogFromProtobuf);
}

}  // namespace vit
