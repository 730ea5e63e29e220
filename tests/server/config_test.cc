#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

absl::StatusOr<std::variant<ServerConfig, PrintAndExit>> Parse(std::vector<const char*> arguments,
                                                               const Variables& variables = {}) {
  arguments.insert(arguments.begin(), "vitd");
  return ParseServerConfig(static_cast<int>(arguments.size()), arguments.data(),
                           [&](const char* name) -> const char* {
                             const auto it = variables.find(name);
                             return it == variables.end() ? nullptr : it->second.c_str();
                           });
}

ServerConfig ParseOk(std::vector<const char*> arguments, const Variables& variables = {}) {
  auto parsed = Parse(std::move(arguments), variables);
  if (!parsed.ok() || !std::holds_alternative<ServerConfig>(*parsed)) {
    ADD_FAILURE() << parsed.status();
    return {};
  }
  return std::get<ServerConfig>(*parsed);
}

std::string ParseError(std::vector<const char*> arguments, const Variables& variables = {}) {
  const auto parsed = Parse(std::move(arguments), variables);
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << parsed.status();
  return std::string(parsed.status().message());
}

std::string WriteConfigFile(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + name;
  std::ofstream(path) << content;
  return path;
}

TEST(ServerConfigTest, ListensOnLoopbackUnlessToldOtherwise) {
  const ServerConfig config = ParseOk({});
  EXPECT_EQ(config.listen, "127.0.0.1:50051");
  EXPECT_EQ(config.metrics_listen, "127.0.0.1:9108");
  EXPECT_TRUE(config.data_roots.empty());
  EXPECT_FALSE(config.reduced_jpeg_decoding);
  EXPECT_TRUE(config.resume_interrupted);
}

TEST(ServerConfigTest, FlagWinsOverVariableWinsOverFileWinsOverDefault) {
  const std::string file = WriteConfigFile("precedence.toml",
                                           "# comment\n"
                                           "threads = 3\n"
                                           "max-queued-runs = 7\n"
                                           "max_image_pixels = 1000\n"
                                           "drain-timeout = \"5s\"\n");
  const ServerConfig config =
      ParseOk({"--config", file.c_str(), "--threads=5"},
              {{"VITD_THREADS", "4"}, {"VITD_MAX_QUEUED_RUNS", "8"}, {"VITD_LOG_FORMAT", "json"}});
  EXPECT_EQ(config.threads, 5);              // flag, variable and file
  EXPECT_EQ(config.max_queued_runs, 8);      // variable and file
  EXPECT_EQ(config.max_image_pixels, 1000);  // file
  EXPECT_EQ(config.drain_timeout, absl::Seconds(5));
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.max_image_bytes, 32 << 20);  // none
}

TEST(ServerConfigTest, ConfigFileMayBeNamedByVariable) {
  const std::string file = WriteConfigFile("variable.toml", "resume-interrupted = false\n");
  EXPECT_FALSE(ParseOk({}, {{"VITD_CONFIG", file}}).resume_interrupted);
}

TEST(ServerConfigTest, DataRootsComeFromFlagsOrColonsOrList) {
  const std::string a = testing::TempDir() + "root_a", b = testing::TempDir() + "root_b";
  std::filesystem::create_directories(a);
  std::filesystem::create_directories(b);
  EXPECT_THAT(ParseOk({"--data-root", a.c_str(), "--data-root", b.c_str()}).data_roots,
              ElementsAre(a, b));
  EXPECT_THAT(ParseOk({}, {{"VITD_DATA_ROOT", a + ":" + b}}).data_roots, ElementsAre(a, b));
  const std::string file =
      WriteConfigFile("roots.toml", "data-root = [\"" + a + "\", \"" + b + "\"]\n");
  EXPECT_THAT(ParseOk({"--config", file.c_str()}).data_roots, ElementsAre(a, b));
  EXPECT_THAT(ParseOk({"--data-root", b.c_str()}, {{"VITD_DATA_ROOT", a}}).data_roots,
              ElementsAre(b));
}

TEST(ServerConfigTest, ResumeInterruptedCanBeTurnedOff) {
  EXPECT_TRUE(ParseOk({"--reduced-jpeg-decoding=true"}).reduced_jpeg_decoding);
  EXPECT_FALSE(ParseOk({"--resume-interrupted=false"}).resume_interrupted);
  EXPECT_TRUE(ParseOk({"--resume-interrupted=true"}).resume_interrupted);
}

TEST(ServerConfigTest, SizesTakeUnits) {
  EXPECT_EQ(ParseOk({"--max-image-bytes=5MiB"}).max_image_bytes, 5 << 20);
  EXPECT_EQ(ParseOk({"--max-image-bytes=500kB"}).max_image_bytes, 500'000);
  EXPECT_EQ(ParseOk({"--max-image-bytes=77"}).max_image_bytes, 77);
}

TEST(ServerConfigTest, StateDirFollowsXdg) {
  EXPECT_EQ(ParseOk({}, {{"XDG_STATE_HOME", "/srv/state"}, {"HOME", "/home/x"}}).state_dir,
            "/srv/state/vitd");
  EXPECT_EQ(ParseOk({"--state-dir=/a/../b"}).state_dir, "/b");
}

TEST(ServerConfigTest, ErrorsNameTheSettingItsOriginAndWhatWasExpected) {
  EXPECT_THAT(ParseError({"--listen=50051"}), AllOf(HasSubstr("--listen"), HasSubstr("HOST:PORT")));
  EXPECT_THAT(ParseError({"--metrics-listen=1.2.3.4:99999"}), HasSubstr("--metrics-listen"));
  EXPECT_EQ(ParseError({"--threads=many"}),
            "--threads: 'many' is not a whole number; see vitd --help");
  EXPECT_EQ(ParseError({"--thread=2"}),
            "unknown option --thread=2; did you mean --threads?; see vitd --help");
  EXPECT_THAT(ParseError({"--threads=-1"}),
              AllOf(HasSubstr("--threads is -1"), HasSubstr("0 to 4096")));
  EXPECT_EQ(ParseError({}, {{"VITD_THREADS", "many"}}),
            "VITD_THREADS: 'many' is not a whole number");
  EXPECT_EQ(ParseError({}, {{"VITD_RESUME_INTERRUPTED", "maybe"}}),
            "VITD_RESUME_INTERRUPTED: 'maybe' is not true or false");
  EXPECT_EQ(ParseError({"--max-batch-size=0"}), "--max-batch-size is 0; expected 1 to 4096");
  EXPECT_EQ(ParseError({"--max-queue-delay=20s"}), "--max-queue-delay is 20s; expected 0 to 10s");
  EXPECT_EQ(ParseError({"--serving-objective=soon"}),
            "--serving-objective 'soon': expected a duration such as 20ms, 30s or 2m");
  EXPECT_EQ(ParseError({"--inference-timeout=0s"}),
            "--inference-timeout is 0s; expected 1ms to 24h");
  EXPECT_THAT(ParseError({"--drain-timeout=soon"}), AllOf(HasSubstr("soon"), HasSubstr("30s")));
  EXPECT_THAT(ParseError({"--log-format=xml"}), AllOf(HasSubstr("xml"), HasSubstr("text or json")));
  EXPECT_THAT(ParseError({"--log-level=loud"}), AllOf(HasSubstr("loud"), HasSubstr("warning")));
  EXPECT_THAT(ParseError({"--data-root=/no/such/folder"}),
              HasSubstr("--data-root /no/such/folder"));
  EXPECT_THAT(ParseError({"--no-such-flag"}), HasSubstr("--no-such-flag"));
  EXPECT_THAT(ParseError({"--config=/no/such.toml"}),
              AllOf(HasSubstr("--config"), HasSubstr("/no/such.toml"), HasSubstr("No such file")));
  EXPECT_THAT(ParseError({"--device=gpu"}),
              AllOf(HasSubstr("--device"), HasSubstr("'gpu'"), HasSubstr("cuda:N")));
}

TEST(ServerConfigTest, ConfigThatIsNoRegularFileIsRefused) {
  const std::string pipe = testing::TempDir() + "pipe.toml";
  unlink(pipe.c_str());
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {testing::TempDir(), pipe, std::string("/dev/null")}) {
    EXPECT_THAT(ParseError({"--config", path.c_str()}),
                AllOf(HasSubstr("--config " + path), HasSubstr("not a regular file")));
  }
  unlink(pipe.c_str());
}

TEST(ServerConfigTest, DeviceThatThisMachineLacksIsNoWrongSetting) {
  EXPECT_EQ(ParseOk({"--device=cuda:99"}).device, "cuda:99");
}

TEST(ServerConfigTest, QuoteThatIsNotClosedIsAnError) {
  const std::string file = WriteConfigFile("quote.toml", "listen = \"127.0.0.1:0\n");
  EXPECT_EQ(ParseError({"--config", file.c_str()}),
            file + ": listen: \"127.0.0.1:0 has a quote that is not closed");
}

TEST(ServerConfigTest, MisspeltSettingInFileNamesTheNearest) {
  const std::string file = WriteConfigFile("misspelt.toml", "max-queue-runs = 7\n");
  EXPECT_THAT(ParseError({"--config", file.c_str()}),
              AllOf(HasSubstr("misspelt.toml"), HasSubstr("max-queue-runs"),
                    HasSubstr("'max-queued-runs'")));
  const std::string section = WriteConfigFile("section.toml", "[server]\nthreads = 7\n");
  EXPECT_THAT(ParseError({"--config", section.c_str()}), HasSubstr("[server]"));
}

TEST(ServerConfigTest, HelpAndVersionAreForPrinting) {
  const auto help = Parse({"--help"});
  ASSERT_TRUE(help.ok()) << help.status();
  const std::string text = std::get<PrintAndExit>(*help).text;
  for (const char* flag : {"--state-dir",
                           "--listen",
                           "--metrics-listen",
                           "--data-root",
                           "--device",
                           "--threads",
                           "--loader-threads",
                           "--drain-timeout",
                           "--resume-interrupted",
                           "--max-queued-runs",
                           "--max-queued-images",
                           "--max-queued-images-per-model",
                           "--max-queued-bytes",
                           "--max-loaded-models",
                           "--reduced-jpeg-decoding",
                           "--max-batch-size",
                           "--max-queue-delay",
                           "--inference-timeout",
                           "--serving-objective",
                           "--max-image-bytes",
                           "--max-image-pixels",
                           "--log-format",
                           "--log-level",
                           "--config"}) {
    EXPECT_THAT(text, HasSubstr(flag));
  }
  const auto version = Parse({"--version"});
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_THAT(std::get<PrintAndExit>(*version).text,
              AllOf(HasSubstr("vitd "), HasSubstr("LibTorch 2")));
}

}  // namespace
}  // namespace vit
