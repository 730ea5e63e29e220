// The load generator on a clock that moves only when a request takes time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <set>

#include "client/lib/transport_error.h"
#include "client/vitctl/load/arrivals.h"
#include "client/vitctl/load/latency_histogram.h"
#include "client/vitctl/load/load_generator.h"
#include "client/vitctl/load/load_text.h"
#include "client/vitctl/load/sample_images.h"

namespace vit {
namespace {

using ::testing::HasSubstr;

class FakeLoadClock final : public LoadClock {
 public:
  absl::Duration Now() override {
    const std::lock_guard lock(mu_);
    return now_;
  }
  // Nothing else can happen before `time`.
  void WaitUntil(absl::Duration time, const std::stop_token&) override {
    const std::lock_guard lock(mu_);
    now_ = std::max(now_, time);
  }
  void Advance(absl::Duration d) {
    const std::lock_guard lock(mu_);
    now_ += d;
  }

 private:
  std::mutex mu_;
  absl::Duration now_ = absl::Seconds(1000);
};

class FakeTarget final : public LoadTarget {
 public:
  using OnSend = std::function<absl::Status(int64_t index)>;
  explicit FakeTarget(OnSend on_send) : on_send_(std::move(on_send)) {}
  void Connect(int, const std::stop_token&) override { ++connects; }
  absl::Status Send(int, int64_t index, const std::stop_token&) override { return on_send_(index); }

  std::atomic<int> connects = 0;

 private:
  OnSend on_send_;
};

TEST(LatencyHistogramTest, PercentilesAreWithinOnePercent) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Percentile(0.5), absl::ZeroDuration());
  for (int i = 1; i <= 1000; ++i) histogram.Add(absl::Milliseconds(i));
  EXPECT_EQ(histogram.count(), 1000);
  EXPECT_EQ(histogram.max(), absl::Seconds(1));
  for (const double ratio : {0.01, 0.5, 0.9, 0.99}) {
    const double exact = 1000 * ratio;
    const double got = absl::ToDoubleMilliseconds(histogram.Percentile(ratio));
    EXPECT_GE(got, exact);
    EXPECT_LE(got, exact * 1.008);
  }
  EXPECT_EQ(histogram.Percentile(1), histogram.max());
}

TEST(LatencyHistogramTest, SmallValuesAreExactAndMergedOnesCount) {
  LatencyHistogram histogram;
  histogram.Add(absl::Nanoseconds(200));
  histogram.Add(-absl::Seconds(1));
  LatencyHistogram other;
  other.Add(absl::Hours(2));
  histogram.Merge(other);
  EXPECT_EQ(histogram.count(), 3);
  EXPECT_EQ(histogram.Percentile(0.3), absl::ZeroDuration());
  EXPECT_EQ(histogram.Percentile(0.6), absl::Nanoseconds(200));
  EXPECT_EQ(histogram.Percentile(0.9), absl::Hours(2));
}

TEST(ArrivalsTest, ConstantOnesAreEvenlySpaced) {
  Arrivals arrivals(Arrivals::Kind::kConstant, 8, 1);
  EXPECT_EQ(arrivals.Next(), absl::ZeroDuration());
  EXPECT_EQ(arrivals.Next(), absl::Milliseconds(125));
  EXPECT_EQ(arrivals.Next(), absl::Milliseconds(250));
}

TEST(ArrivalsTest, PoissonOnesHaveExponentialIntervals) {
  Arrivals arrivals(Arrivals::Kind::kPoisson, 100, 7);
  constexpr int kCount = 20000;
  double last = 0, sum = 0, sum_of_squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double time = absl::ToDoubleSeconds(arrivals.Next());
    EXPECT_GE(time, last);
    sum += time - last;
    sum_of_squares += (time - last) * (time - last);
    last = time;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 0.01, 0.0003);
  // An exponential distribution's deviation equals its mean.
  EXPECT_NEAR(sum_of_squares / kCount - mean * mean, 1e-4, 1e-5);
}

TEST(LoadGeneratorTest, AClosedLoopSendsOneRequestAfterTheOther) {
  FakeLoadClock clock;
  FakeTarget target([&](int64_t) {
    clock.Advance(absl::Milliseconds(100));
    return absl::OkStatus();
  });
  const LoadReport report =
      GenerateLoad({.warm_up = absl::Seconds(1), .duration = absl::Seconds(10)}, target, clock);
  EXPECT_EQ(target.connects, 1);
  EXPECT_EQ(report.succeeded(), 100);
  EXPECT_EQ(report.failed(), 0);
  EXPECT_EQ(report.elapsed, absl::Seconds(10));
  EXPECT_DOUBLE_EQ(report.requests_per_second(), 10);
  EXPECT_EQ(report.latencies.max(), absl::Milliseconds(100));
}

TEST(LoadGeneratorTest, WarmUpIsNotCounted) {
  FakeLoadClock clock;
  FakeTarget target([&](int64_t index) {
    clock.Advance(index < 10 ? absl::Milliseconds(500) : absl::Milliseconds(50));
    return index < 10 ? absl::InternalError("cold") : absl::OkStatus();
  });
  const LoadReport report =
      GenerateLoad({.warm_up = absl::Seconds(5), .duration = absl::Seconds(1)}, target, clock);
  EXPECT_EQ(report.succeeded(), 20);
  EXPECT_EQ(report.failed(), 0);
  EXPECT_EQ(report.latencies.max(), absl::Milliseconds(50));
}

TEST(LoadGeneratorTest, ARequestUnderWayAtTheEndCounts) {
  FakeLoadClock clock;
  FakeTarget target([&](int64_t index) {
    clock.Advance(index == 3 ? absl::Seconds(7) : absl::Milliseconds(250));
    return absl::OkStatus();
  });
  const LoadReport report =
      GenerateLoad({.warm_up = absl::ZeroDuration(), .duration = absl::Seconds(1)}, target, clock);
  EXPECT_EQ(report.succeeded(), 4);
  EXPECT_EQ(report.latencies.max(), absl::Seconds(7));
  EXPECT_EQ(report.elapsed, absl::Seconds(7.75));
}

TEST(LoadGeneratorTest, AStallShowsInEveryRequestThatItDelays) {
  FakeLoadClock clock;
  FakeTarget target([&](int64_t index) {
    clock.Advance(index == 10 ? absl::Milliseconds(1000) : absl::Milliseconds(10));
    return absl::OkStatus();
  });
  const LoadReport report = GenerateLoad({.rate = 10,
                                          .arrivals = Arrivals::Kind::kConstant,
                                          .warm_up = absl::ZeroDuration(),
                                          .duration = absl::Seconds(4)},
                                         target, clock);
  EXPECT_EQ(report.succeeded(), 40);
  EXPECT_EQ(report.latencies.max(), absl::Milliseconds(1000));
  // Those due 100, 200, ... ms after the stalled one waited 910, 820, ... ms: eleven in all are
  // late, where a closed loop would have seen one.
  EXPECT_GE(report.latencies.Percentile(1 - 9.5 / 40), absl::Milliseconds(190));
  EXPECT_LE(report.latencies.Percentile(0.7), absl::Milliseconds(10.1));
}

TEST(LoadGeneratorTest, ANumberOfRequestsEndsIt) {
  FakeLoadClock clock;
  std::mutex mu;
  std::set<int64_t> sent;
  FakeTarget target([&](int64_t index) {
    const std::lock_guard lock(mu);
    EXPECT_TRUE(sent.insert(index).second) << index << " was sent twice";
    return absl::OkStatus();
  });
  const LoadReport report = GenerateLoad(
      {.clients = 4, .warm_up = absl::ZeroDuration(), .requests = 1000}, target, clock);
  EXPECT_EQ(target.connects, 4);
  EXPECT_EQ(report.succeeded(), 1000);
  EXPECT_EQ(*sent.rbegin(), 999);
}

TEST(LoadGeneratorTest, ErrorsAreCountedByCodeAndNotMeasured) {
  FakeLoadClock clock;
  FakeTarget target([&](int64_t index) -> absl::Status {
    clock.Advance(absl::Milliseconds(index % 10 == 0 ? 900 : 100));
    if (index % 10 == 0) return absl::ResourceExhaustedError("the queue is full");
    if (index % 10 == 1) return absl::InternalError("a bug");
    return absl::OkStatus();
  });
  const LoadReport report =
      GenerateLoad({.warm_up = absl::ZeroDuration(), .requests = 100}, target, clock);
  EXPECT_EQ(report.succeeded(), 80);
  EXPECT_EQ(report.failed(), 20);
  EXPECT_EQ(report.errors.at(absl::StatusCode::kResourceExhausted).count(), 10);
  EXPECT_EQ(report.errors.at(absl::StatusCode::kInternal).count(), 10);
  EXPECT_EQ(report.first_error, absl::ResourceExhaustedError("the queue is full"));
  EXPECT_EQ(report.latencies.max(), absl::Milliseconds(100));
}

TEST(LoadGeneratorTest, AClientPausesWhenTheServerIsGone) {
  FakeLoadClock clock;
  const absl::Status gone =
      TranslateError(14, "failed to connect to all addresses", "127.0.0.1:1", absl::Seconds(1));
  FakeTarget target([&](int64_t) { return gone; });
  const LoadReport report =
      GenerateLoad({.warm_up = absl::ZeroDuration(), .duration = absl::Seconds(1)}, target, clock);
  EXPECT_EQ(report.failed(), 10);
  EXPECT_EQ(report.requests_per_second(), 0);
}

TEST(LoadGeneratorTest, StopEndsItWithWhatWasMeasured) {
  FakeLoadClock clock;
  std::stop_source stop;
  FakeTarget target([&](int64_t index) -> absl::Status {
    clock.Advance(absl::Milliseconds(100));
    if (index < 20) return absl::OkStatus();
    stop.request_stop();
    return absl::CancelledError("the call was cancelled");
  });
  const LoadReport report =
      GenerateLoad({.warm_up = absl::ZeroDuration(), .duration = absl::Hours(1)}, target, clock,
                   stop.get_token());
  EXPECT_EQ(report.succeeded(), 20);
  EXPECT_EQ(report.failed(), 0);
  EXPECT_EQ(report.elapsed, absl::Milliseconds(2100));
}

TEST(LoadTextTest, HasARowForEachMeasurement) {
  Measurement measured = {.options = {.clients = 4}, .images_per_request = 2};
  for (int i = 0; i < 10; ++i) measured.report.latencies.Add(absl::Milliseconds(5));
  measured.report.elapsed = absl::Seconds(2);
  for (int i = 0; i < 3; ++i) {
    measured.report.errors[absl::StatusCode::kUnavailable].Add(absl::Milliseconds(2));
  }
  Measurement failed = {.options = {.clients = 16}};
  const std::string table = LoadTable({measured, failed}).Render(0, false, false);
  EXPECT_THAT(table, HasSubstr("CLIENTS  REQUESTS/S  IMAGES/S  P50 MS"));
  EXPECT_THAT(table, HasSubstr("      4         5.0        10    5.00    5.00    5.00    5.00  "
                               "3 UNAVAILABLE, p99 2.00 ms\n"));
  EXPECT_THAT(table, HasSubstr("     16         0.0       0.0       -       -       -       -  "
                               "0\n"));
  measured.options.rate = 12.5;
  EXPECT_THAT(LoadTable({measured}).Render(0, false, false), HasSubstr("12.5"));
  const auto json = LoadJson({measured, failed});
  EXPECT_EQ(json[0]["rate"], 12.5);
  EXPECT_EQ(json[0]["requests"], 10);
  EXPECT_EQ(json[0]["images_per_second"], 10);
  EXPECT_EQ(json[0]["latency_ms"]["p99"], 5);
  EXPECT_EQ(json[0]["errors"]["UNAVAILABLE"]["requests"], 3);
  EXPECT_EQ(json[0]["errors"]["UNAVAILABLE"]["latency_ms"]["p99"], 2);
  EXPECT_FALSE(json[1].contains("latency_ms"));
}

TEST(SampleImageTest, IsABitmapOfTheSize) {
  for (const int size : {1, 2, 3, 224}) {
    const std::string bmp = SampleImage(size, 1);
    EXPECT_EQ(bmp.substr(0, 2), "BM");
    EXPECT_EQ(static_cast<unsigned char>(bmp[18]), size);
    EXPECT_EQ(bmp.size(), 54u + (3 * size + 3) / 4 * 4 * size);
    EXPECT_EQ(bmp, SampleImage(size, 1));
    EXPECT_NE(bmp, SampleImage(size, 2));
  }
}

}  // namespace
}  // namespace vit
