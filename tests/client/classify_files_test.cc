// vitctl classify on many files: folders, lists, formats, several requests at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/vitctl/cli.h"
#include "client/vitctl/view/count_progress.h"
#include "tests/client/naming.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ClassifyFilesTest : public ::testing::Test {
 protected:
  ClassifyFilesTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = absl::StrCat(::testing::TempDir(), "/classify_files_", test->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~ClassifyFilesTest() override { fs::remove_all(root_); }

  std::string Write(const std::string& name, const std::string& bytes) const {
    const std::string path = absl::StrCat(root_, "/", name);
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  // image00.jpg, image01.jpg, ... holding "image 0", "image 1", ...
  void WriteImages(int count) const {
    for (int i = 0; i < count; ++i) Write(Name(i), absl::StrCat("image ", i));
  }
  static std::string Name(int i) { return absl::StrCat("image", i < 10 ? "0" : "", i, ".jpg"); }

  std::string root_;
};

std::vector<nlohmann::json> Lines(const std::string& out) {
  std::vector<nlohmann::json> lines;
  for (const absl::string_view line : absl::StrSplit(out, '\n', absl::SkipEmpty())) {
    lines.push_back(nlohmann::json::parse(line));
  }
  return lines;
}

TEST_F(ClassifyFilesTest, FoldersPatternsAndListsNameImages) {
  WriteImages(3);
  Write("notes.txt", "bad");
  FakeVitd vitd(Naming(nullptr));
  const std::string list = absl::StrCat(root_, "/", Name(2), "\n", root_, "\n");
  const Outcome outcome =
      Vitctl(vitd, {"-o", "jsonl", "classify", root_, root_ + "/*0[01].jpg", "--files-from", "-"},
             Pipe(), list);
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  const auto lines = Lines(outcome.out);
  ASSERT_EQ(lines.size(), 9u);
  const std::vector<int> order = {0, 1, 2, 0, 1, 2, 0, 1, 2};
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(lines[i]["file"], absl::StrCat(root_, "/", Name(order[i]))) << i;
    EXPECT_EQ(lines[i]["classes"][0]["label"], absl::StrCat("image ", order[i])) << i;
  }
}

TEST_F(ClassifyFilesTest, AnEmptyFolderIsNamed) {
  FakeVitd vitd(Naming(nullptr));
  const Outcome outcome = Vitctl(vitd, {"classify", root_});
  EXPECT_EQ(outcome.exit_code, kExitNotFound);
  EXPECT_THAT(outcome.err, StartsWith(absl::StrCat("vitctl: ", root_, ": no images in this")));
}

TEST_F(ClassifyFilesTest, MistakesAreExplained) {
  const Outcome none = Vitctl({"classify"});
  EXPECT_EQ(none.exit_code, kExitUsage);
  EXPECT_THAT(none.err, HasSubstr("no images given; name files, folders or patterns"));
  const Outcome twice = Vitctl({"classify", "-", "--files-from", "-"});
  EXPECT_EQ(twice.exit_code, kExitUsage);
  EXPECT_THAT(twice.err, HasSubstr("- is given twice"));
  const Outcome missing = Vitctl({"classify", "--files-from", root_ + "/list"});
  EXPECT_EQ(missing.exit_code, kExitNotFound);
  EXPECT_THAT(missing.err, HasSubstr(root_ + "/list"));
  const Outcome priority = Vitctl({"classify", root_, "--priority", "urgent"});
  EXPECT_EQ(priority.exit_code, kExitUsage);
  EXPECT_THAT(priority.err, HasSubstr("urgent not in {low,normal,high}"));
}

TEST_F(ClassifyFilesTest, PriorityIsSentIfGiven) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const std::string file = Write("a.jpg", "a");
  EXPECT_EQ(Vitctl(vitd, {"classify", file}).exit_code, kExitOk);
  EXPECT_EQ(Vitctl(vitd, {"classify", file, "--priority", "low"}).exit_code, kExitOk);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].priority(), v1::PRIORITY_UNSPECIFIED);
  EXPECT_EQ(requests[1].priority(), v1::PRIORITY_LOW);
}

TEST_F(ClassifyFilesTest, CsvHasALineForEachClassAndError) {
  FakeVitd vitd(Naming(nullptr));
  const std::string odd = Write("a,\"b\".jpg", "tabby");
  const std::string bad = Write("c.jpg", "bad");
  const Outcome outcome = Vitctl(vitd, {"-o", "csv", "classify", odd, bad});
  EXPECT_EQ(outcome.exit_code, kExitFailure);
  EXPECT_EQ(outcome.err, "");
  const std::string quoted = absl::StrCat("\"", root_, "/a,\"\"b\"\".jpg\"");
  EXPECT_EQ(outcome.out,
            absl::StrCat("file,rank,index,label,probability,error\n", quoted,
                         ",1,0,tabby,0.930999994,\n", quoted, ",2,7,other,0.0419999994,\n", bad,
                         ",,,,,INVALID_ARGUMENT: not an image\n"));
}

TEST_F(ClassifyFilesTest, JsonLinesHoldAnswersAndErrors) {
  FakeVitd vitd(Naming(nullptr));
  const Outcome outcome =
      Vitctl(vitd, {"-o", "jsonl", "classify", Write("a.jpg", "bad"), Write("b.jpg", "tabby")});
  EXPECT_EQ(outcome.exit_code, kExitFailure);
  EXPECT_EQ(outcome.err, "");
  const auto lines = Lines(outcome.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["error"]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(lines[1]["classes"][1]["index"], 7);
  EXPECT_EQ(lines[1]["model"]["run"], "7f3a2c");
}

TEST_F(ClassifyFilesTest, ErrorsOfTheWholeAreJsonWithJsonLines) {
  FakeAnswers answers;
  answers.classify = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no run has a checkpoint yet");
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"-o", "jsonl", "classify", Write("a.jpg", "x")});
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(nlohmann::json::parse(outcome.err)["error"]["code"], "UNAVAILABLE");
  // An output that is streamed has nothing to print, not even a heading.
  EXPECT_EQ(Vitctl(vitd, {"-o", "csv", "classify", Write("a.jpg", "x")}).out, "");
}

TEST_F(ClassifyFilesTest, SeveralRequestsAreInFlight) {
  WriteImages(99);
  std::mutex mu;
  std::condition_variable changed;
  int in_flight = 0, most = 0, calls = 0;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    {
      std::unique_lock lock(mu);
      most = std::max(most, ++in_flight);
      ++calls;
      changed.notify_all();
      // The last three requests find no fourth.
      EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return most == 4; }));
      --in_flight;
    }
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"-o", "jsonl", "classify", root_});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(calls, 7);
  EXPECT_EQ(most, 4);
}

TEST_F(ClassifyFilesTest, OutputIsInTheOrderOfTheFilesHoweverAnswersCome) {
  WriteImages(64);
  std::mutex mu;
  std::condition_variable changed;
  int answered = 0;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    std::unique_lock lock(mu);
    if (request.images(0) == "image 0") {
      EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return answered == 3; }));
    }
    ++answered;
    changed.notify_all();
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  const auto lines = Lines(Vitctl(vitd, {"-o", "jsonl", "classify", root_}).out);
  ASSERT_EQ(lines.size(), 64u);
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(lines[i]["classes"][0]["label"], absl::StrCat("image ", i));
  }
}

TEST_F(ClassifyFilesTest, LinesComeBeforeLaterRequestsAreAnswered) {
  WriteImages(20);
  std::promise<void> printed;
  std::atomic<bool> in_time = false;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    if (request.images(0) == "image 16") {
      in_time =
          printed.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready;
    }
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  bool done = false;
  const Outcome outcome =
      Vitctl(vitd, {"-o", "jsonl", "classify", root_, "--concurrency", "1"}, Pipe(), "", {},
             [&](const std::string& so_far) {
               EXPECT_THAT(so_far, EndsWith("\n"));
               if (std::count(so_far.begin(), so_far.end(), '\n') >= 16 && !done) {
                 done = true;
                 printed.set_value();
               }
             });
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_TRUE(in_time);
}

TEST_F(ClassifyFilesTest, AnswersDoNotRunFarAheadOfOneThatIsMissing) {
  for (int i = 0; i < 100; ++i) Write(absl::StrCat("i", 100 + i, ".jpg"), absl::StrCat(i));
  std::mutex mu;
  std::condition_variable changed;
  int calls = 0;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    std::unique_lock lock(mu);
    ++calls;
    changed.notify_all();
    // Two in flight, four rounds of two: request 0 and the seven after it.
    if (request.images(0) == "0") {
      EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return calls >= 7; }));
      EXPECT_LE(calls, 8);
    }
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  EXPECT_EQ(Vitctl(vitd, {"-o", "csv", "classify", root_, "--concurrency", "2"}).exit_code,
            kExitOk);
  EXPECT_EQ(calls, 7);
}

TEST_F(ClassifyFilesTest, ALostServerEndsItWithWhatWasAnswered) {
  WriteImages(60);
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [naming = answers.classify](const v1::ClassifyRequest& request,
                                                 v1::ClassifyResponse* response) {
    if (request.images(0) == "image 16") {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "vitd is shutting down");
    }
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"-o", "jsonl", "classify", root_, "--concurrency", "1"});
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("44 of 60 images have no answer"));
  const auto lines = Lines(outcome.out);
  ASSERT_EQ(lines.size(), 60u);
  EXPECT_EQ(lines[15]["classes"][0]["label"], "image 15");
  for (int i = 16; i < 60; ++i) EXPECT_EQ(lines[i]["error"]["code"], "UNAVAILABLE") << i;
}

TEST_F(ClassifyFilesTest, InterruptedItPrintsWhatIsKnownInWholeLines) {
  WriteImages(60);
  for (const char* format : {"jsonl", "csv", "json", "table"}) {
    std::stop_source interrupt;
    FakeAnswers answers = Naming(nullptr);
    answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                      v1::ClassifyResponse* response) {
      // Cancels this call before it is answered.
      if (request.images(0) == "image 16") interrupt.request_stop();
      return naming(request, response);
    };
    FakeVitd vitd(answers);
    const Outcome outcome = Vitctl(vitd, {"-o", format, "classify", root_, "--concurrency", "1"},
                                   Pipe(), "", interrupt.get_token());
    EXPECT_EQ(outcome.exit_code, kExitInterrupted) << format;
    EXPECT_THAT(outcome.err, HasSubstr("44 of 60 images have no answer")) << format;
    EXPECT_THAT(outcome.out, HasSubstr("image 15")) << format;
    EXPECT_THAT(outcome.out, Not(HasSubstr("image 16"))) << format;
    EXPECT_THAT(outcome.out, EndsWith("\n")) << format;
  }
}

TEST_F(ClassifyFilesTest, AnOutputThatCannotBeWrittenEndsIt) {
  WriteImages(99);
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  for (const char* format : {"jsonl", "csv"}) {
    requests.clear();
    std::istringstream in;
    std::ostream out(nullptr);
    std::ostringstream err;
    Io io;
    io.in = &in;
    io.out = &out;
    io.err = &err;
    EXPECT_EQ(RunVitctl({"--server", vitd.address(), "--output", format, "classify",
                         "--concurrency", "1", root_},
                        io),
              kExitFailure);
    EXPECT_THAT(err.str(), HasSubstr("cannot write the output")) << format;
    EXPECT_LT(requests.size(), 7u) << format;
  }
}

TEST_F(ClassifyFilesTest, ProgressIsShownOnATerminalOnly) {
  WriteImages(20);
  FakeVitd vitd(Naming(nullptr));
  Terminal err_only = Pipe();
  err_only.err_is_tty = true;
  for (const char* format : {"table", "json", "csv", "jsonl"}) {
    const Outcome shown = Vitctl(vitd, {"-o", format, "classify", root_}, err_only);
    EXPECT_THAT(shown.err, HasSubstr("1 of 20 images")) << format;
    EXPECT_THAT(shown.err, EndsWith("\r\x1B[K")) << format;
    EXPECT_EQ(Vitctl(vitd, {"-o", format, "classify", root_}).err, "") << format;
  }
  // Lines and a progress line would mix on one screen.
  EXPECT_EQ(Vitctl(vitd, {"-o", "csv", "classify", root_}, Tty(80)).err, "");
  EXPECT_EQ(Vitctl(vitd, {"classify", root_ + "/" + Name(0)}, err_only).err, "");
}

TEST(CountProgressTest, FitsTheWidth) {
  EXPECT_EQ(CountProgressText(1204, 3000, "images", absl::Seconds(4), 80, false),
            "########------------  1,204 of 3,000 images  301 images/s  6.0s left");
  EXPECT_EQ(CountProgressText(0, 3000, "images", absl::ZeroDuration(), 80, false),
            "--------------------  0 of 3,000 images");
  EXPECT_EQ(CountProgressText(1204, 3000, "images", absl::Seconds(4), 60, false),
            "1,204 of 3,000 images  301 images/s  6.0s left");
  for (int columns = 2; columns < 100; ++columns) {
    EXPECT_LT(DisplayWidth(CountProgressText(7, 9, "images", absl::Seconds(1), columns, true)),
              columns);
  }
}

}  // namespace
}  // namespace vit
