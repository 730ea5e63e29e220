#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

// The candidates without their descriptions.
std::vector<std::string> Complete(std::vector<std::string> words) {
  words.insert(words.begin(), {"__complete", "--"});
  const Outcome outcome = Vitctl(words);
  EXPECT_EQ(outcome.exit_code, kExitOk);
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(outcome.out, '\n', absl::SkipEmpty())) {
    lines.emplace_back(line.substr(0, line.find('\t')));
  }
  return lines;
}

FakeAnswers WithRunsAndPresets() {
  FakeAnswers answers;
  answers.list_runs = [](const v1::ListRunsRequest& request, v1::ListRunsResponse* response) {
    *response->add_runs() = TrainingRun();
    if (request.states().empty()) {
      response->add_runs()->set_id("8a11aa");
      response->mutable_runs(1)->set_state(v1::RUN_STATE_STOPPED);
    }
    return grpc::Status::OK;
  };
  answers.list_presets = [](const auto&, v1::ListPresetsResponse* response) {
    response->add_presets()->set_name("shapes_demo");
    return grpc::Status::OK;
  };
  return answers;
}

TEST(CompletionTest, OffersCommandsByTheirStart) {
  EXPECT_THAT(Complete({"st"}), ElementsAre("start-run", "status", "stop"));
  EXPECT_THAT(Complete({""}), IsSupersetOf({"classify", "completion", "health"}));
  EXPECT_THAT(Complete({"-o", "json", "wa"}), ElementsAre("watch"));
}

TEST(CompletionTest, OffersEveryOptionOfACommand) {
  EXPECT_THAT(Complete({"start-run", "--"}),
              IsSupersetOf({"--data", "--preset", "--init", "--set", "--spec", "--name", "--watch",
                            "--validate-only", "--server", "--output", "--timeout"}));
  EXPECT_THAT(Complete({"runs", "--li"}), ElementsAre("--limit"));
}

TEST(CompletionTest, OffersValues) {
  EXPECT_THAT(Complete({"-o", ""}), ElementsAre("table", "wide", "json", "csv", "jsonl"));
  EXPECT_THAT(Complete({"runs", "-o", ""}), ElementsAre("table", "wide", "json"));
  EXPECT_THAT(Complete({"history", "-o", "c"}), ElementsAre("csv"));
  EXPECT_THAT(Complete({"classify", "-o", "js"}), ElementsAre("json", "jsonl"));
  EXPECT_THAT(Complete({"classify", "--priority", ""}), ElementsAre("low", "normal", "high"));
  EXPECT_THAT(Complete({"classify", "--files-from", ""}), ElementsAre(":files"));
  EXPECT_THAT(Complete({"bench", "--arrivals", "c"}), ElementsAre("constant"));
  EXPECT_THAT(Complete({"bench", "latest", ""}), ElementsAre(":files"));
  EXPECT_THAT(Complete({"runs", "--state", "st"}), ElementsAre("stopping", "stopped"));
  EXPECT_THAT(Complete({"runs", "--state=f"}), ElementsAre("--state=failed"));
  EXPECT_THAT(Complete({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(Complete({"classify", "a.jpg", ""}), ElementsAre(":files"));
  EXPECT_THAT(Complete({"start-run", "--name", ""}), IsEmpty());
}

TEST(CompletionTest, WalksTheFieldsOfASpec) {
  EXPECT_THAT(Complete({"start-run", "--set", "optimizer.mo"}),
              ElementsAre("optimizer.momentum=", ":nospace"));
  EXPECT_THAT(Complete({"start-run", "--set", "data.tr"}), ElementsAre("data.train.", ":nospace"));
  EXPECT_THAT(Complete({"start-run", "--set", "optimizer.type=a"}),
              ElementsAre("optimizer.type=adamw", "optimizer.type=adam"));
  EXPECT_THAT(Complete({"start-run", "--set", "no.such"}), IsEmpty());
}

TEST(CompletionTest, AsksTheDaemonOfTheLineForRunsAndPresets) {
  FakeVitd vitd(WithRunsAndPresets());
  EXPECT_THAT(Complete({"--server", vitd.address(), "stop", ""}), ElementsAre("7f3a2c"));
  EXPECT_THAT(Complete({"classify", "--server=" + vitd.address(), "--model", "run:"}),
              ElementsAre("run:7f3a2c", "run:8a11aa"));
  EXPECT_THAT(Complete({"--server", vitd.address(), "start-run", "--preset", "s"}),
              ElementsAre("shapes_demo"));
  EXPECT_THAT(Complete({"--server", vitd.address(), "stop", "7f3a2c", ""}), IsEmpty());
  EXPECT_THAT(Complete({"--server", vitd.address(), "rm", ""}), ElementsAre("7f3a2c", "8a11aa"));
  EXPECT_THAT(Complete({"--server", vitd.address(), "stop", "pe"}), ElementsAre("pets"));
}

TEST(CompletionTest, StaysSilentWithoutADaemon) {
  const std::string address = FakeVitd({}).address();
  EXPECT_THAT(Complete({"--server", address, "stop", ""}), IsEmpty());
}

TEST(CompletionTest, EveryShellHasAScriptThatAsksVitctl) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Outcome outcome = Vitctl({"completion", shell});
    EXPECT_EQ(outcome.exit_code, kExitOk);
    EXPECT_TRUE(absl::StrContains(outcome.out, "__complete --")) << shell;
  }
  EXPECT_EQ(Vitctl({"completion", "tcsh"}).exit_code, kExitUsage);
}

}  // namespace
}  // namespace vit
