#include "server/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <nlohmann/json.hpp>
#include <sstream>

namespace vit {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

class LoggingTest : public testing::Test {
 protected:
  Logger MakeLogger(LogFormat format, LogLevel level = LogLevel::kInfo) {
    return Logger(format, level, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
  }
  std::ostringstream out_;
};

TEST_F(LoggingTest, TextHasTimeLevelMessageAndFields) {
  MakeLogger(LogFormat::kText)
      .Warning("run failed", {{"run", "3f2a"}, {"step", 12}, {"why", "no space"}, {"name", ""}});
  EXPECT_THAT(out_.str(),
              MatchesRegex("....-..-..T..:..:..\\.\\d*.*Z warning run failed run=3f2a step=12 "
                           "why=\"no space\" name=\"\"\n"));
}

TEST_F(LoggingTest, JsonIsOneObjectALine) {
  MakeLogger(LogFormat::kJson)
      .Info("ready", {{"grpc", 50051}, {"seconds", 0.5}, {"label", "caf\u00e9"}});
  const std::string line = out_.str();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  const nlohmann::json object = nlohmann::json::parse(line);
  EXPECT_EQ(object["level"], "info");
  EXPECT_EQ(object["message"], "ready");
  EXPECT_EQ(object["grpc"], 50051);
  EXPECT_EQ(object["seconds"], 0.5);
  EXPECT_EQ(object["label"], "caf\u00e9");
  EXPECT_THAT(object["time"].get<std::string>(), EndsWith("Z"));
}

TEST_F(LoggingTest, NoInputForgesALineOrDrivesATerminal) {
  // Escape, DEL, a C1 control character, what the logger uses inside, and bytes that are not UTF-8.
  const std::string evil =
      "a\nb\x1b[31m\x7f\xc2\x9b"
      "c\x1e{\"level\":\"forged\"}\xff";
  MakeLogger(LogFormat::kText).Info(evil, {{"name", evil}});
  std::string line = out_.str();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  for (const char* control : {"\x1b", "\x7f", "\xc2\x9b", "\x1e"}) {
    EXPECT_THAT(line, Not(HasSubstr(control)));
  }
  EXPECT_THAT(line, HasSubstr("a\\nb\\x1b[31m"));

  out_.str("");
  MakeLogger(LogFormat::kJson).Info(evil, {{"name", evil}});
  line = out_.str();
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  for (const char* control : {"\x1b", "\x7f", "\xc2\x9b", "\x1e"}) {
    EXPECT_THAT(line, Not(HasSubstr(control)));
  }
  const nlohmann::json object = nlohmann::json::parse(line);
  EXPECT_EQ(object["level"], "info");
  EXPECT_THAT(object["name"].get<std::string>(), HasSubstr("a\nb\x1b[31m\x7f"));
}

TEST_F(LoggingTest, LevelFilters) {
  Logger logger = MakeLogger(LogFormat::kText, LogLevel::kWarning);
  logger.Info("quiet");
  logger.Debug("quiet");
  EXPECT_THAT(out_.str(), IsEmpty());
  logger.Error("loud");
  EXPECT_THAT(out_.str(), HasSubstr("loud"));
}

}  // namespace
}  // namespace vit
