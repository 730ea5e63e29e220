// A state directory of an earlier release (tests/data/old_state): its runs continue, and its models
// answer as they did.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/core/data/testing.h"
#include "tests/e2e/process.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// Without what a clock measured: images_per_second and time, and columns that are newer.
std::vector<std::string> WithoutTimes(const std::string& csv) {
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(csv, '\n', absl::SkipEmpty())) {
    std::vector<std::string> fields = absl::StrSplit(line, ',');
    fields.resize(15);  // up to calibration_error
    fields[7] = "";
    lines.push_back(absl::StrJoin(fields, ","));
  }
  return lines;
}

class OldStateTest : public ::testing::Test {
 protected:
  // The runs read folder:/proc/self/cwd/numbers, so the daemon has to start in the copy.
  void SetUp() override {
    fs::copy(Fixture(), folder_.path(), fs::copy_options::recursive);
    fs::current_path(folder_.path());
    daemon_ = std::make_unique<TestDaemon>(
        folder_.path() / "state", std::vector<std::string>{"--data-root", "/proc/self/cwd"});
    ASSERT_NO_FATAL_FAILURE(daemon_->Start());
  }
  void TearDown() override { fs::current_path(before_); }

  static fs::path Fixture() { return fs::path(VIT_SOURCE_DIR) / "tests/data/old_state"; }
  static std::string Expected(const std::string& name) {
    return ReadAll(Fixture() / "expected" / name);
  }
  Json Status(const std::string& run) const {
    return Json::parse(daemon_->Vitctl({"-o", "json", "status", run}).second);
  }

  const fs::path before_ = fs::current_path();
  TemporaryFolder folder_;
  std::unique_ptr<TestDaemon> daemon_;
};

TEST_F(OldStateTest, InterruptedRunEndsAndSaysThatItIsInexact) {
  const auto [code, output] = daemon_->Vitctl({"watch", "interrupted"});
  ASSERT_EQ(code, 0) << output;
  const Json status = Status("interrupted");
  const Json expected = Json::parse(Expected("status.json"));
  const Json& run = status["run"];
  // Listed, split and ordered by the rules that it began with.
  EXPECT_EQ(status["spec"]["data"]["listing_version"], 1);
  EXPECT_EQ(run["class_count"], expected["run"]["class_count"]);
  EXPECT_EQ(run["train_size"], "33");
  EXPECT_EQ(run["validation_size"], "22");
  EXPECT_EQ(run["step"], expected["run"]["step"]);
  const fs::path checkpoint =
      daemon_->RunDirectory(run["id"].get<std::string>()) / "checkpoints/step-000000400";
  EXPECT_EQ(ReadAll(checkpoint / "labels.txt"), Expected("labels.txt"));
  // Today's kernels round differently.
  EXPECT_THAT(run["message"], HasSubstr("continues inexactly: vitd's arithmetic was 1, is 2"));
  EXPECT_NEAR(run["last_validation"]["loss"].get<double>(),
              expected["run"]["last_validation"]["loss"].get<double>(), 0.1);
}

TEST_F(OldStateTest, RunsAndModelsAnswerAsTheyDid) {
  ASSERT_EQ(daemon_->Vitctl({"watch", "interrupted"}).first, 0);
  for (const std::string model : {"run:finished", "published", "imported"}) {
    const Json answer = Json::parse(daemon_
                                        ->Vitctl({"-o", "json", "classify", "numbers/test/7/0.png",
                                                  "--model", model, "--top-k", "10"})
                                        .second);
    const Json expected = Json::parse(
        Expected(absl::StrCat("classify_", model.substr(model.find(':') + 1), ".json")));
    const Json& classes = answer["results"][0]["classes"];
    const Json& wanted = expected["results"][0]["classes"];
    ASSERT_EQ(classes.size(), wanted.size()) << model << ": " << answer;
    for (size_t i = 0; i < classes.size(); ++i) {
      EXPECT_EQ(classes[i]["label"], wanted[i]["label"]) << model;
      EXPECT_NEAR(classes[i]["probability"].get<double>(), wanted[i]["probability"].get<double>(),
                  1e-5)
          << model;
    }
    EXPECT_EQ(answer["results"][0]["model"], expected["results"][0]["model"]);
  }
}

TEST_F(OldStateTest, HistoryAndOrderOfStartsAreThere) {
  EXPECT_EQ(WithoutTimes(daemon_->Vitctl({"history", "finished", "--csv"}).second),
            WithoutTimes(Expected("finished_history.csv")));
  EXPECT_EQ(Status("latest")["run"]["name"], "interrupted");
  // A finished run of that release can be made longer.
  ASSERT_EQ(daemon_->Vitctl({"watch", "interrupted"}).first, 0);
  const auto [code, output] =
      daemon_->Vitctl({"resume", "finished", "--set", "max_steps=24", "--watch"});
  EXPECT_EQ(code, 0) << output;
  EXPECT_EQ(Status("finished")["specs"].size(), 2);
}

}  // namespace
}  // namespace vit
