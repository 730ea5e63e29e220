#include "client/vitctl/load/load_generator.h"

#include <algorithm>
#include <latch>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "client/lib/client.h"

namespace vit {
namespace {

constexpr absl::Duration kPauseAfterLostConnection = absl::Milliseconds(100);

struct Turn {
  int64_t index;
  absl::Duration time;  // when to send; in a closed loop, now
};

// Hands out the requests, in order. Thread-safe.
class Schedule {
 public:
  Schedule(const LoadOptions& options, LoadClock& clock) : options_(options), clock_(clock) {
    if (options.rate.has_value()) {
      arrivals_.emplace(options.arrivals, *options.rate, options.seed);
    }
  }

  void Start() {
    start_ = clock_.Now();
    measured_from_ = start_ + options_.warm_up;
  }
  absl::Duration measured_from() const { return measured_from_; }

  // Returns nothing if no more is to be sent.
  std::optional<Turn> Next() {
    const std::lock_guard lock(mu_);
    const absl::Duration time = arrivals_.has_value() ? start_ + arrivals_->Next() : clock_.Now();
    if (options_.requests.has_value()) {
      if (measured_ == *options_.requests) return std::nullopt;
      if (time >= measured_from_) ++measured_;
    } else if (time >= measured_from_ + options_.duration) {
      return std::nullopt;
    }
    return Turn{.index = index_++, .time = time};
  }

 private:
  const LoadOptions& options_;
  LoadClock& clock_;
  absl::Duration start_;
  absl::Duration measured_from_;
  std::mutex mu_;  // guards the members below
  std::optional<Arrivals> arrivals_;
  int64_t index_ = 0;
  int64_t measured_ = 0;
};

// What one client saw.
struct Tally {
  LoadReport report;
  absl::Duration first_error_at = absl::InfiniteDuration();
  absl::Duration last_answer = -absl::InfiniteDuration();
};

Tally RunClient(int client, Schedule& schedule, LoadTarget& target, LoadClock& clock,
                const std::stop_token& stop) {
  Tally tally;
  while (!stop.stop_requested()) {
    const std::optional<Turn> turn = schedule.Next();
    if (!turn.has_value()) break;
    clock.WaitUntil(turn->time, stop);
    if (stop.stop_requested()) break;
    const absl::Status status = target.Send(client, turn->index, stop);
    const absl::Duration answered = clock.Now();
    if (!status.ok() && stop.stop_requested()) break;
    if (turn->time >= schedule.measured_from()) {
      tally.last_answer = answered;
      if (status.ok()) {
        tally.report.latencies.Add(answered - turn->time);
      } else {
        tally.report.errors[status.code()].Add(answered - turn->time);
        if (tally.report.first_error.ok()) {
          tally.report.first_error = status;
          tally.first_error_at = answered;
        }
      }
    }
    if (IsUnreachable(status)) clock.WaitUntil(answered + kPauseAfterLostConnection, stop);
  }
  return tally;
}

}  // namespace

int64_t LoadReport::failed() const {
  int64_t count = 0;
  for (const auto& [code, latencies_of_code] : errors) count += latencies_of_code.count();
  return count;
}

double LoadReport::requests_per_second() const {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(succeeded()) / seconds : 0;
}

LoadReport GenerateLoad(const LoadOptions& options, LoadTarget& target, LoadClock& clock,
                        std::stop_token stop) {
  Schedule schedule(options, clock);
  std::vector<Tally> tallies(options.clients);
  std::latch connected(options.clients);
  std::latch started(1);
  {
    std::vector<std::jthread> clients;
    clients.reserve(options.clients);
    for (int i = 0; i < options.clients; ++i) {
      clients.emplace_back([&, i] {
        target.Connect(i, stop);
        connected.count_down();
        started.wait();
        tallies[i] = RunClient(i, schedule, target, clock, stop);
      });
    }
    connected.wait();
    schedule.Start();
    started.count_down();
  }
  LoadReport report;
  absl::Duration first_error_at = absl::InfiniteDuration();
  absl::Duration end = schedule.measured_from();
  if (stop.stop_requested()) {
    end = std::max(end, clock.Now());
  } else if (!options.requests.has_value()) {
    end += options.duration;
  }
  for (Tally& tally : tallies) {
    report.latencies.Merge(tally.report.latencies);
    for (const auto& [code, latencies] : tally.report.errors) report.errors[code].Merge(latencies);
    if (tally.first_error_at < first_error_at) {
      first_error_at = tally.first_error_at;
      report.first_error = std::move(tally.report.first_error);
    }
    end = std::max(end, tally.last_answer);
  }
  report.elapsed = end - schedule.measured_from();
  return report;
}

}  // namespace vit
