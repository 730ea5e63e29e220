#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

using Write = std::function<bool(const v1::WatchResponse&)>;

v1::WatchResponse At(int64_t step, v1::RunState state = v1::RUN_STATE_RUNNING) {
  v1::WatchResponse response;
  *response.mutable_run() = TrainingRun();
  response.mutable_run()->set_step(step);
  response.mutable_run()->set_state(state);
  v1::MetricPoint* point = response.add_points();
  *point = TrainingRun().last_train();
  point->set_step(step);
  return response;
}

v1::WatchResponse Ended(v1::RunState state, const std::string& message = "") {
  v1::WatchResponse response;
  *response.mutable_run() = TrainingRun();
  response.mutable_run()->set_state(state);
  response.mutable_run()->set_message(message);
  response.mutable_run()->mutable_end_time()->set_seconds(TrainingRun().start_time().seconds() +
                                                          723);
  return response;
}

FakeAnswers Streaming(std::vector<v1::WatchResponse> messages) {
  FakeAnswers answers;
  answers.watch = [messages](const auto&, auto*, const Write& write) {
    for (const auto& message : messages) write(message);
    return grpc::Status::OK;
  };
  return answers;
}

int CountOf(const std::string& text, const std::string& part) {
  return static_cast<int>(std::vector<std::string>(absl::StrSplit(text, part)).size()) - 1;
}

TEST(WatchCommandTest, PipeGetsALineForEachEvent) {
  FakeVitd vitd(Streaming({At(20), At(40), Ended(v1::RUN_STATE_SUCCEEDED)}));
  const Outcome outcome = Vitctl(vitd, {"watch"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("  run 7f3a2c (pets) RUNNING\n"));
  EXPECT_THAT(
      outcome.out,
      HasSubstr(
          "  step 20/2860  epoch 0  train loss 0.8312  accuracy 71.4%  lr 8.2e-04  left 4m 08s\n"));
  EXPECT_EQ(CountOf(outcome.out, "new best checkpoint: 68.9% at step 1,200\n"), 1);
  EXPECT_THAT(outcome.out,
              EndsWith(absl::StrCat(
                  "run 7f3a2c SUCCEEDED after 12m 03s, best accuracy 68.9% at step 1,200\n"
                  "classify with it: vitctl --server ",
                  vitd.address(), " classify --model run:7f3a2c FILE\n")));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
}

TEST(WatchCommandTest, TerminalGetsOneViewRedrawnInPlace) {
  FakeVitd vitd(Streaming({At(20), At(40), Ended(v1::RUN_STATE_SUCCEEDED)}));
  const Outcome outcome = Vitctl(vitd, {"watch"}, Tty(80));
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("step 20/2,860"));
  EXPECT_THAT(outcome.out, HasSubstr("\x1b[5A"));  // up over the five lines of the last frame
  EXPECT_EQ(CountOf(outcome.out, "\x1b[?25l"), 1);
  EXPECT_EQ(CountOf(outcome.out, "\x1b[?25h"), 1);
}

TEST(WatchCommandTest, NarrowedTerminalIsClearedToItsTop) {
  FakeVitd vitd(Streaming({At(20), At(40), Ended(v1::RUN_STATE_SUCCEEDED)}));
  Terminal terminal = Tty(80);
  auto frames = std::make_shared<int>(0);
  terminal.columns = [frames] { return (*frames)++ == 0 ? 80 : 40; };
  const Outcome outcome = Vitctl(vitd, {"watch"}, terminal);
  // Five lines between 35 and 79 columns wide: all but the first have wrapped to two rows.
  EXPECT_THAT(outcome.out, HasSubstr("\x1b[9A"));
}

TEST(WatchCommandTest, JsonIsOneMessageALine) {
  FakeVitd vitd(Streaming({At(20), Ended(v1::RUN_STATE_SUCCEEDED)}));
  const Outcome outcome = Vitctl(vitd, {"watch", "-o", "json"}, Tty(80));
  const std::vector<std::string> lines = absl::StrSplit(outcome.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(lines[0])["points"][0]["step"], "20");
  EXPECT_EQ(nlohmann::json::parse(lines[1])["run"]["state"], "RUN_STATE_SUCCEEDED");
  EXPECT_EQ(outcome.err, "");
}

TEST(WatchCommandTest, ExitCodeTellsHowTheRunEnded) {
  FakeVitd failed(Streaming({Ended(v1::RUN_STATE_FAILED, "loss is nan at step 17")}));
  const Outcome outcome = Vitctl(failed, {"watch"});
  EXPECT_EQ(outcome.exit_code, kExitRunFailed);
  EXPECT_THAT(
      outcome.out,
      HasSubstr(
          "FAILED after 12m 03s, best accuracy 68.9% at step 1,200: loss is nan at step 17\n"));
  EXPECT_THAT(outcome.out, EndsWith(" resume 7f3a2c\n"));
  FakeVitd stopped(Streaming({Ended(v1::RUN_STATE_STOPPED)}));
  EXPECT_EQ(Vitctl(stopped, {"watch"}).exit_code, kExitRunStopped);
  FakeVitd interrupted(Streaming({Ended(v1::RUN_STATE_INTERRUPTED)}));
  EXPECT_EQ(Vitctl(interrupted, {"watch"}).exit_code, kExitRunStopped);
  FakeAnswers missing;
  missing.watch = [](const auto&, auto*, const Write&) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no runs");
  };
  FakeVitd empty(missing);
  EXPECT_EQ(Vitctl(empty, {"watch"}).exit_code, kExitNotFound);
}

TEST(WatchCommandTest, GoesOnAfterTheConnectionBroke) {
  std::atomic<int> calls = 0;
  std::string second_asked_for;
  int64_t gap_after = -1;
  FakeAnswers answers;
  answers.watch = [&](const v1::WatchRequest& request, auto*, const Write& write) {
    if (++calls == 1) {
      write(At(20));
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "shutting down");
    }
    second_asked_for = request.run();
    write(At(60));
    write(Ended(v1::RUN_STATE_SUCCEEDED));
    return grpc::Status::OK;
  };
  answers.get_history = [&](const v1::GetHistoryRequest& request,
                            v1::GetHistoryResponse* response) {
    gap_after = request.after_step();
    for (const int64_t step : {20, 40, 60}) *response->add_points() = At(step).points(0);
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"watch"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_EQ(second_asked_for, "7f3a2c");
  EXPECT_EQ(gap_after, 20);
  for (const char* step : {"step 20/", "step 40/", "step 60/"}) {
    EXPECT_EQ(CountOf(outcome.out, step), 1) << step;
  }
  EXPECT_THAT(outcome.err, MatchesRegex("vitctl: lost the connection to .*; trying again for .*\n"
                                        "vitctl: connected again\n"));
}

TEST(WatchCommandTest, FollowsTheRunIntoTheNextDaemon) {
  auto vitd = std::make_unique<FakeVitd>(Streaming({At(20), At(21, v1::RUN_STATE_INTERRUPTED)}));
  const int port = vitd->port();
  std::promise<void> interrupted;
  std::jthread restart([&] {
    interrupted.get_future().wait();
    vitd.reset();
    vitd = std::make_unique<FakeVitd>(Streaming({At(40), Ended(v1::RUN_STATE_SUCCEEDED)}), port);
  });
  std::once_flag once;
  const Outcome outcome = Vitctl({"--server", absl::StrCat("127.0.0.1:", port), "watch"}, Pipe(),
                                 "", {}, [&](const std::string& so_far) {
                                   if (so_far.find("INTERRUPTED") != std::string::npos) {
                                     std::call_once(once, [&] { interrupted.set_value(); });
                                   }
                                 });
  restart.join();
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("step 40/"));
  EXPECT_THAT(outcome.out, HasSubstr("SUCCEEDED after"));
}

TEST(WatchCommandTest, GivesUpWhenReconnectTimeIsOver) {
  FakeAnswers answers;
  answers.watch = [](const auto&, auto*, const Write& write) {
    write(At(20, v1::RUN_STATE_RUNNING));
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "shutting down");
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"watch", "--reconnect", "0"});
  EXPECT_EQ(outcome.exit_code, kExitUnavailable);
  EXPECT_THAT(outcome.err, HasSubstr("shutting down; gave up watching"));
  EXPECT_THAT(outcome.err, HasSubstr(" watch 7f3a2c\n"));
}

TEST(WatchCommandTest, CtrlCLeavesTheRunGoingAndSaysHowToStopIt) {
  FakeAnswers answers;
  answers.watch = [&](const auto&, grpc::ServerContext* context, const Write& write) {
    while (!context->IsCancelled() && write(At(20))) {
    }
    return grpc::Status::CANCELLED;
  };
  FakeVitd vitd(answers);
  std::stop_source interrupt;
  const Outcome outcome = Vitctl(vitd, {"watch"}, Pipe(), "", interrupt.get_token(),
                                 [&](const std::string&) { interrupt.request_stop(); });
  EXPECT_EQ(outcome.exit_code, kExitInterrupted);
  EXPECT_EQ(outcome.err,
            absl::StrCat("run 7f3a2c (pets) continues. Follow it again with: vitctl --server ",
                         vitd.address(), " watch 7f3a2c\nStop it with: vitctl --server ",
                         vitd.address(), " stop 7f3a2c\n"));
}

TEST(WatchCommandTest, TimeoutEndsTheWatchingOnly) {
  FakeAnswers answers;
  answers.watch = [](const auto&, grpc::ServerContext* context, const Write& write) {
    write(At(20));
    while (!context->IsCancelled() && write(At(20))) {
    }
    return grpc::Status::CANCELLED;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"watch", "--timeout", "300ms"});
  EXPECT_EQ(outcome.exit_code, kExitDeadline);
  EXPECT_EQ(outcome.err, "vitctl: run 7f3a2c (pets) is still RUNNING after 300ms; it continues\n");
}

TEST(StartRunWatchTest, StartsAndFollows) {
  FakeAnswers answers = Streaming({At(20), Ended(v1::RUN_STATE_SUCCEEDED)});
  answers.start_training = [](const auto&, v1::StartTrainingResponse* response) {
    *response->mutable_run() = TrainingRun();
    return grpc::Status::OK;
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Vitctl(vitd, {"start-run", "--data", "shapes:", "--watch"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("started run 7f3a2c (pets)\n"));
  EXPECT_THAT(outcome.out, HasSubstr("SUCCEEDED"));
  const Outcome json = Vitctl(vitd, {"-o", "json", "start-run", "--data", "shapes:", "--watch"});
  int lines = 0;
  for (const absl::string_view line : absl::StrSplit(json.out, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(nlohmann::json::accept(std::string(line))) << line;
    ++lines;
  }
  EXPECT_EQ(lines, 3);
}

}  // namespace
}  // namespace vit
