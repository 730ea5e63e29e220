// The command line itself: help, mistakes, exit codes, health.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Health = grpc::health::v1::HealthCheckResponse;

constexpr const char* kCommands[] = {
    "start-run", "status",       "watch",      "runs",        "stop",    "resume", "rm",
    "history",   "presets",      "classify",   "bench",       "health",  "models", "publish",
    "import",    "load",         "export",     "embed",       "explain", "unload", "completion",
    "pack-data", "inspect-data", "evaluation", "preview-data"};

FakeVitd Healthy(Health::ServingStatus status) {
  FakeAnswers answers;
  answers.health = [status](const auto&, auto* response) {
    response->set_status(status);
    return grpc::Status::OK;
  };
  return FakeVitd(answers);
}

TEST(UsageTest, HelpListsEveryCommandAndExitCode) {
  const Outcome help = Vitctl({"--help"});
  EXPECT_EQ(help.exit_code, kExitOk);
  for (const char* command : kCommands) {
    EXPECT_THAT(help.out, HasSubstr(std::string("  ") + command));
  }
  EXPECT_THAT(help.out, HasSubstr("130 interrupted"));
  EXPECT_EQ(help.err, "");
}

TEST(UsageTest, HelpFitsEightyColumns) {
  EXPECT_LE(WidestLine(Vitctl({"--help"}).out), 80);
  for (const char* command : kCommands) {
    const Outcome help = Vitctl({command, "--help"});
    EXPECT_EQ(help.exit_code, kExitOk);
    EXPECT_LE(WidestLine(help.out), 80) << help.out;
  }
}

TEST(UsageTest, VersionIsOneLine) {
  const Outcome version = Vitctl({"--version"});
  EXPECT_EQ(version.exit_code, kExitOk);
  EXPECT_THAT(version.out, ::testing::MatchesRegex("vitctl [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(UsageTest, MistakesAreExplainedOnStderr) {
  const std::map<std::vector<std::string>, std::string> mistakes = {
      {{}, "vitctl: no command given; see vitctl --help\n"},
      {{"statsu"}, "vitctl: unknown command 'statsu'; did you mean status?; see vitctl --help\n"},
      {{"nonsense", "--help"},
       "vitctl: unknown command 'nonsense'; commands: start-run, preview-data, status, watch, "
       "runs, "
       "stop, resume, rm, history, evaluation, presets, fields, classify, bench, embed, explain, "
       "models, "
       "publish, "
       "import, export, load, unload, pack-data, inspect-data, health, completion; see vitctl "
       "--help\n"},
      {{"statsu", "-h"},
       "vitctl: unknown command 'statsu'; did you mean status?; see vitctl --help\n"},
      {{"runs", "--limt", "3"},
       "vitctl: unknown option --limt; did you mean --limit?; see vitctl runs --help\n"},
      {{"runs", "extra"}, "vitctl: unexpected argument 'extra'; see vitctl runs --help\n"},
      {{"stop"}, "vitctl: RUN is required; see vitctl stop --help\n"},
      {{"runs", "--timeout", "soon"},
       "vitctl: --timeout: 'soon' is not a duration; write 30s, 1m30s or 500ms; see vitctl runs "
       "--help\n"},
      {{"runs", "--state", "runing"},
       "vitctl: --state runing: no such state; did you mean running?\n"},
      {{"-o", "xml", "runs"},
       "vitctl: --output: xml not in {table,wide,json,csv,jsonl}; see vitctl runs --help\n"},
      {{"-o", "csv", "runs"}, "vitctl: -o csv: runs has the formats table, wide, json\n"},
      {{"--server", "here", "runs"},
       "vitctl: --server: 'here' is not an address; expected HOST:PORT, such as 127.0.0.1:50051\n"},
  };
  for (const auto& [args, message] : mistakes) {
    const Outcome outcome = Vitctl(args);
    EXPECT_EQ(outcome.exit_code, kExitUsage) << message;
    EXPECT_EQ(outcome.err, message);
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(UsageTest, UnreachableServerComesWithTheWayOut) {
  const std::string address = FakeVitd({}).address();
  const Outcome outcome = Vitctl({"--server", address, "status"});
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_EQ(outcome.err,
            "vitctl: cannot reach vitd at " + address +
                ": connection refused; is it running? start it with: vitd --state-dir DIR, or name "
                "another with --server\n");
}

TEST(UsageTest, ErrorsAreJsonOnStderrWithJsonOutput) {
  const std::string address = FakeVitd({}).address();
  const Outcome outcome = Vitctl({"--server", address, "-o", "json", "status"});
  EXPECT_EQ(outcome.out, "");
  const auto error = nlohmann::json::parse(outcome.err)["error"];
  EXPECT_EQ(error["code"], "UNAVAILABLE");
  EXPECT_EQ(error["exit_code"], kExitUnavailable);
  EXPECT_THAT(error["message"].get<std::string>(), StartsWith("cannot reach vitd"));
}

TEST(UsageTest, EveryCodeHasItsExitCode) {
  const std::map<grpc::StatusCode, int> exit_codes = {
      {grpc::StatusCode::INVALID_ARGUMENT, kExitUsage},
      {grpc::StatusCode::NOT_FOUND, kExitNotFound},
      {grpc::StatusCode::UNAVAILABLE, kExitUnavailable},
      {grpc::StatusCode::DEADLINE_EXCEEDED, kExitDeadline},
      {grpc::StatusCode::FAILED_PRECONDITION, kExitPrecondition},
      {grpc::StatusCode::PERMISSION_DENIED, kExitDenied},
      {grpc::StatusCode::INTERNAL, kExitFailure},
  };
  for (const auto& [code, exit_code] : exit_codes) {
    FakeAnswers answers;
    answers.status = [code = code](const auto&, auto*) { return grpc::Status(code, "because"); };
    FakeVitd vitd(answers);
    const Outcome outcome = Vitctl(vitd, {"status", "x"});
    EXPECT_EQ(outcome.exit_code, exit_code);
    EXPECT_EQ(outcome.err, "vitctl: because\n");
  }
}

TEST(UsageTest, TimeoutEndsACallThatIsNotAnswered) {
  std::promise<void> release;
  FakeAnswers answers;
  answers.status = [released = release.get_future().share()](const auto&, auto*) {
    released.wait();
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"--timeout", "100ms", "status"});
  release.set_value();
  EXPECT_EQ(outcome.exit_code, kExitDeadline);
  EXPECT_EQ(outcome.err, "vitctl: no answer from vitd at " + vitd.address() + " within 100ms\n");
}

TEST(HealthTest, ExitsZeroOnlyWhenServing) {
  const FakeVitd serving = Healthy(Health::SERVING);
  const Outcome yes = Vitctl(serving, {"health"});
  EXPECT_EQ(yes.exit_code, kExitOk);
  EXPECT_EQ(yes.out, "SERVING\n");

  const FakeVitd draining = Healthy(Health::NOT_SERVING);
  const Outcome no = Vitctl(draining, {"health"});
  EXPECT_EQ(no.exit_code, kExitUnavailable);
  EXPECT_EQ(no.out, "NOT_SERVING\n");

  EXPECT_EQ(nlohmann::json::parse(Vitctl(draining, {"-o", "json", "health"}).out)["status"],
            "NOT_SERVING");
}

TEST(HealthTest, AsksForTheNamedService) {
  std::string asked;
  FakeAnswers answers;
  answers.health = [&](const auto& request, auto*) {
    asked = request.service();
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such service");
  };
  FakeVitd vitd(answers);
  EXPECT_EQ(Vitctl(vitd, {"health", "--service", "a.B"}).exit_code, kExitNotFound);
  EXPECT_EQ(asked, "a.B");
}

}  // namespace
}  // namespace vit
