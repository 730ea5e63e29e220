#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <future>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/client/naming.h"

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Outcome Bench(const FakeVitd& vitd, std::vector<std::string> args, std::stop_token interrupt = {}) {
  args.insert(args.begin(), {"bench", "pets", "--warm-up", "0"});
  return Vitctl(vitd, args, Pipe(), "", interrupt);
}

TEST(BenchCommandTest, PrintsATable) {
  FakeVitd vitd(Naming(nullptr));
  const Outcome outcome = Bench(vitd, {"--clients", "1,3", "--requests", "12", "--batch", "2"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("CLIENTS  REQUESTS/S  IMAGES/S  P50 MS"));
  EXPECT_THAT(outcome.out, HasSubstr("\n      1  "));
  EXPECT_THAT(outcome.out, HasSubstr("\n      3  "));
  EXPECT_EQ(outcome.err, "");
}

TEST(BenchCommandTest, JsonHoldsEveryMeasurement) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const Outcome outcome =
      Bench(vitd, {"-o", "json", "--clients", "1,3", "--requests", "12", "--batch", "2", "--top-k",
                   "1", "--priority", "high", "--image-size", "8"});
  ASSERT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  const auto document = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(document["model"]["run"], "7f3a2c");
  EXPECT_EQ(document["images_per_request"], 2);
  ASSERT_EQ(document["measurements"].size(), 2u);
  const auto& second = document["measurements"][1];
  EXPECT_EQ(second["clients"], 3);
  EXPECT_EQ(second["requests"], 12);
  EXPECT_GT(second["latency_ms"]["p50"], 0);
  EXPECT_LE(second["latency_ms"]["p50"], second["latency_ms"]["max"]);
  EXPECT_DOUBLE_EQ(second["images_per_second"], 2 * second["requests_per_second"].get<double>());
  EXPECT_TRUE(second["errors"].empty());

  ASSERT_EQ(requests.size(), 25u);  // one to try
  EXPECT_EQ(requests[3].model(), "pets");
  EXPECT_EQ(requests[3].top_k(), 1);
  EXPECT_EQ(requests[3].priority(), v1::PRIORITY_HIGH);
  ASSERT_EQ(requests[3].images_size(), 2);
  EXPECT_NE(requests[3].images(0), requests[3].images(1));
  EXPECT_EQ(requests[3].images(0).size(), 54u + 8 * 8 * 3);
}

TEST(BenchCommandTest, EveryClientHasItsOwnConnection) {
  std::mutex mu;
  std::set<std::string> peers;
  FakeAnswers answers = Naming(nullptr);
  answers.on_peer = [&](const std::string& peer) {
    const std::lock_guard lock(mu);
    peers.insert(peer);
  };
  std::atomic<int> calls = 0;
  std::promise<void> all;
  answers.classify = [&, released = all.get_future().share(), naming = answers.classify](
                         const v1::ClassifyRequest& request, v1::ClassifyResponse* response) {
    // The first call only tries; the next four, of four clients, wait for each other.
    if (const int call = calls++; call > 0) {
      if (call == 4) all.set_value();
      EXPECT_EQ(released.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    }
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  EXPECT_EQ(Bench(vitd, {"--clients", "4", "--requests", "4"}).exit_code, kExitOk);
  EXPECT_EQ(peers.size(), 5u);
}

TEST(BenchCommandTest, AnOpenLoopSendsAtItsRate) {
  std::atomic<int> calls = 0;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    ++calls;
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Bench(vitd, {"-o", "json", "--rate", "200,400", "--arrivals", "constant",
                                       "--clients", "2", "--duration", "100ms"});
  ASSERT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  const auto measurements = nlohmann::json::parse(outcome.out)["measurements"];
  ASSERT_EQ(measurements.size(), 2u);
  EXPECT_EQ(measurements[0]["rate"], 200);
  EXPECT_EQ(measurements[0]["requests"], 20);
  EXPECT_EQ(measurements[1]["requests"], 40);
  EXPECT_EQ(calls, 61);
}

TEST(BenchCommandTest, SendsTheGivenImagesInTurn) {
  std::vector<v1::ClassifyRequest> requests;
  FakeVitd vitd(Naming(&requests));
  const std::string one = absl::StrCat(::testing::TempDir(), "/bench_1.jpg");
  const std::string two = absl::StrCat(::testing::TempDir(), "/bench_2.jpg");
  std::ofstream(one) << "one";
  std::ofstream(two) << "two";
  EXPECT_EQ(Bench(vitd, {one, two, "--requests", "3"}).exit_code, kExitOk);
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_EQ(requests[1].images(0), "one");
  EXPECT_EQ(requests[2].images(0), "two");
  EXPECT_EQ(requests[3].images(0), "one");

  const Outcome missing = Bench(vitd, {"/no/such.jpg"});
  EXPECT_EQ(missing.exit_code, kExitNotFound);
  EXPECT_EQ(missing.err, "vitctl: /no/such.jpg: no such file\n");
}

TEST(BenchCommandTest, ErrorsAreCountedAndDoNotEndIt) {
  std::atomic<int> calls = 0;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    if (calls++ % 4 == 3) return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full");
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Bench(vitd, {"--requests", "16"});
  EXPECT_EQ(outcome.exit_code, kExitOk) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("  4 RESOURCE_EXHAUSTED, p99 "));
}

TEST(BenchCommandTest, ItFailsIfEverythingFails) {
  FakeAnswers answers;
  answers.classify = [](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the queue is full");
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Bench(vitd, {"--requests", "5"});
  EXPECT_EQ(outcome.exit_code, kExitFailure);
  EXPECT_THAT(outcome.out, HasSubstr("5 RESOURCE_EXHAUSTED, p99 "));
  EXPECT_EQ(outcome.err, "vitctl: the queue is full\n");
}

TEST(BenchCommandTest, WhatEveryRequestWouldFailByEndsItAtOnce) {
  std::atomic<int> calls = 0;
  FakeAnswers answers;
  answers.classify = [&](const auto&, auto*) {
    ++calls;
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no model pets");
  };
  FakeVitd vitd(answers);
  const Outcome outcome = Bench(vitd, {});
  EXPECT_EQ(outcome.exit_code, kExitNotFound);
  EXPECT_EQ(outcome.err, "vitctl: no model pets\n");
  EXPECT_EQ(calls, 1);

  FakeVitd naming(Naming(nullptr));
  const std::string bad = absl::StrCat(::testing::TempDir(), "/bench_bad.jpg");
  std::ofstream(bad) << "bad";
  const Outcome image = Bench(naming, {bad, "--batch", "2"});
  EXPECT_EQ(image.exit_code, kExitUsage);
  EXPECT_EQ(image.err, absl::StrCat("vitctl: ", bad, ": not an image\n"));
}

TEST(BenchCommandTest, InterruptedItPrintsWhatWasMeasured) {
  std::stop_source interrupt;
  std::atomic<int> calls = 0;
  FakeAnswers answers = Naming(nullptr);
  answers.classify = [&, naming = answers.classify](const v1::ClassifyRequest& request,
                                                    v1::ClassifyResponse* response) {
    if (calls++ == 10) interrupt.request_stop();
    return naming(request, response);
  };
  FakeVitd vitd(answers);
  const Outcome outcome =
      Bench(vitd, {"-o", "json", "--duration", "1h", "--clients", "1,2"}, interrupt.get_token());
  EXPECT_EQ(outcome.exit_code, kExitInterrupted);
  const auto measurements = nlohmann::json::parse(outcome.out)["measurements"];
  ASSERT_EQ(measurements.size(), 1u);
  EXPECT_EQ(measurements[0]["requests"], 9);
  EXPECT_TRUE(measurements[0]["errors"].empty());
}

TEST(BenchCommandTest, MistakesAreExplained) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
      {{"bench"}, "MODEL is required"},
      {{"bench", "m", "--clients", "1,x"}, "--clients: Value x not in range 1 to 1000"},
      {{"bench", "m", "--rate", "0"}, "--rate: '0' is not a number above 0"},
      {{"bench", "m", "--rate", "5", "--clients", "1,2"}, "with --rate, one number of connections"},
      {{"bench", "m", "--duration", "soon"}, "--duration: 'soon' is not a duration"},
      {{"bench", "m", "--warm-up", "soon"}, "--warm-up: 'soon' is not a duration"},
      {{"bench", "m", "--arrivals", "x"}, "x not in {poisson,constant}"},
      {{"-o", "csv", "bench", "m"}, "-o csv: bench has the formats table, wide, json"},
  };
  for (const auto& [args, message] : mistakes) {
    const Outcome outcome = Vitctl(args);
    EXPECT_EQ(outcome.exit_code, kExitUsage) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

}  // namespace
}  // namespace vit
