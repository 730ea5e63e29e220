#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/client/fake_vitd.h"
#include "tests/client/naming.h"

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string TestImage(const std::string& name, const std::string& bytes) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/", name);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(ClassifyCommandTest, NamesOneImage) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const std::string cat = TestImage("cat.jpg", "tabby");
  const Outcome outcome =
      Vitctl(vitd, {"classify", cat, "--model", "run:7f3a2c", "--top-k", "2"}, Tty(200));
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].model(), "run:7f3a2c");
  EXPECT_EQ(requests[0].top_k(), 2);
  EXPECT_THAT(outcome.out, HasSubstr(cat + "  tabby        93.1%"));
  EXPECT_THAT(outcome.out, HasSubstr("other         4.2%"));
  EXPECT_THAT(outcome.out, HasSubstr("by run:7f3a2c, step 1,200\n"));
}

TEST(ClassifyCommandTest, BadImagesFailAlone) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const std::string bad = TestImage("notes.txt.jpg", "bad");
  const std::string cat = TestImage("cat.jpg", "tabby");
  const Outcome outcome = Vitctl(vitd, {"classify", bad, "/no/such.jpg", cat});
  EXPECT_EQ(outcome.exit_code, kExitFailure);
  EXPECT_EQ(outcome.err,
            absl::StrCat("vitctl: ", bad, ": not an image\nvitctl: /no/such.jpg: no such file\n"));
  EXPECT_THAT(outcome.out, HasSubstr("tabby"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("notes")));
}

TEST(ClassifyCommandTest, OneBadImageGivesItsOwnExitCode) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const Outcome undecodable = Vitctl(vitd, {"classify", TestImage("a.jpg", "bad")});
  EXPECT_EQ(undecodable.exit_code, kExitUsage);
  EXPECT_THAT(undecodable.err, HasSubstr("a.jpg: not an image\n"));
  EXPECT_EQ(Vitctl(vitd, {"classify", "/no/such.jpg"}).exit_code, kExitNotFound);
}

TEST(ClassifyCommandTest, ReadsStandardInput) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const Outcome outcome = Vitctl(vitd, {"classify", "-"}, Pipe(), "from stdin");
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("from stdin"));
}

TEST(ClassifyCommandTest, ManyImagesGoInBatches) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  std::vector<std::string> args = {"classify", "-o", "json"};
  for (int i = 0; i < 100; ++i) {
    args.push_back(TestImage(absl::StrCat(i, ".jpg"), absl::StrCat("image ", i)));
  }
  const Outcome outcome = Vitctl(vitd, args);
  EXPECT_EQ(outcome.exit_code, kExitOk);
  EXPECT_EQ(requests.size(), 7u);
  const auto results = nlohmann::json::parse(outcome.out)["results"];
  ASSERT_EQ(results.size(), 100u);
  EXPECT_EQ(results[99]["classes"][0]["label"], "image 99");
  EXPECT_EQ(results[99]["model"]["step"], 1200);
}

TEST(ClassifyCommandTest, AnswersBeforeAnErrorOfALaterRequestAreKept) {
  std::vector<v1::ClassifyRequest> requests;
  FakeAnswers answers = Naming(&requests);
  answers.classify = [naming = answers.classify](const v1::ClassifyRequest& request,
                                                 v1::ClassifyResponse* response) {
    if (request.images(0) == "image 64") {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "vitd is shutting down");
    }
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  std::vector<std::string> args = {"classify", "--concurrency=1"};
  for (int i = 0; i < 200; ++i) {
    args.push_back(TestImage(absl::StrCat(i, ".jpg"), absl::StrCat(i == 5 ? "bad " : "image ", i)));
  }
  Outcome outcome = Vitctl(vitd, args);
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_THAT(outcome.out, HasSubstr("image 63"));
  EXPECT_EQ(outcome.err, absl::StrCat("vitctl: ", args[7],
                                      ": not an image\n"
                                      "vitctl: 136 of 200 images have no answer\n"
                                      "vitctl: vitd is shutting down\n"));
  EXPECT_EQ(requests.size(), 4u) << "what comes after the error is not sent";

  args.insert(args.end(), {"-o", "json"});
  outcome = Vitctl(vitd, args);
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("\"code\":\"UNAVAILABLE\""));
  const auto results = nlohmann::json::parse(outcome.out)["results"];
  ASSERT_EQ(results.size(), 200u);
  EXPECT_EQ(results[63]["classes"][0]["label"], "image 63");
  EXPECT_EQ(results[5]["error"]["code"], "INVALID_ARGUMENT");
  for (int i = 64; i < 200; ++i) {
    EXPECT_EQ(results[i]["error"]["code"], "UNAVAILABLE") << i;
    EXPECT_EQ(results[i]["error"]["message"], "vitd is shutting down") << i;
  }
}

TEST(ClassifyCommandTest, BatchesAreBoundedInBytes) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  std::vector<std::string> args = {"classify"};
  for (int i = 0; i < 3; ++i) {
    args.push_back(TestImage(absl::StrCat("big", i), std::string(9 << 20, 'x')));
  }
  EXPECT_EQ(Vitctl(vitd, args).exit_code, kExitOk);
  EXPECT_EQ(requests.size(), 3u);
}

TEST(ClassifyCommandTest, JsonHoldsErrorsToo) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const Outcome outcome = Vitctl(
      vitd, {"-o", "json", "classify", TestImage("a.jpg", "bad"), TestImage("b.jpg", "tabby")});
  EXPECT_EQ(outcome.exit_code, kExitFailure);
  EXPECT_EQ(outcome.err, "");
  const auto results = nlohmann::json::parse(outcome.out)["results"];
  EXPECT_EQ(results[0]["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(results[1]["classes"][1]["index"], 7);
}

TEST(ClassifyCommandTest, NoModelYetIsUnavailable) {
  FakeAnswers answers;
  answers.classify = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no run has a checkpoint yet");
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"classify", TestImage("a.jpg", "x")});
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_EQ(outcome.err, "vitctl: no run has a checkpoint yet\n");
}

}  // namespace
}  // namespace vit
