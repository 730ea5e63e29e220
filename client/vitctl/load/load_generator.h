// Sends requests as users would, and measures the answers.
#ifndef VIT_CLIENT_VITCTL_LOAD_LOAD_GENERATOR_H_
#define VIT_CLIENT_VITCTL_LOAD_LOAD_GENERATOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/vitctl/load/arrivals.h"
#include "client/vitctl/load/latency_histogram.h"
#include "client/vitctl/load/load_clock.h"

namespace vit {

// What is loaded. Its functions are called from one thread for each client.
class LoadTarget {
 public:
  virtual ~LoadTarget() = default;
  // Called once for each client before the first request: makes its connection. An error shows in
  // the requests.
  virtual void Connect(int client, const std::stop_token& stop) = 0;
  // Sends request `index`, from 0, and waits for the answer. Returns soon after `stop` is
  // requested; such a request is not counted.
  virtual absl::Status Send(int client, int64_t index, const std::stop_token& stop) = 0;
};

struct LoadOptions {
  int clients = 1;
  // Requests a second in all: an open loop, in which a request that finds every client busy waits
  // for one. Its latency counts from the moment at which it was to be sent, so that a stall of the
  // server shows in all requests that it delayed. Unset: a closed loop, in which each client sends
  // its next request when it has the answer to the one before.
  std::optional<double> rate;
  Arrivals::Kind arrivals = Arrivals::Kind::kPoisson;
  uint64_t seed = 1;
  // Requests of this time are not counted.
  absl::Duration warm_up = absl::Seconds(1);
  // After the warm-up. What was sent by then is waited for and counted.
  absl::Duration duration = absl::Seconds(10);
  // Ends the measurement when so many were sent after the warm-up, instead of `duration`.
  std::optional<int64_t> requests;
};

struct LoadReport {
  LatencyHistogram latencies;  // of requests that succeeded
  std::map<absl::StatusCode, LatencyHistogram> errors;  // of those that failed
  absl::Status first_error;
  // To the end of the duration, or to the last answer if that came later.
  absl::Duration elapsed = absl::ZeroDuration();  // from the end of the warm-up

  int64_t succeeded() const { return latencies.count(); }
  int64_t failed() const;
  double requests_per_second() const;  // that succeeded
};

// Returns once everything is answered, or soon after `stop` is requested. After an error of the
// connection a client pauses for 100 ms: it would otherwise fail as fast as it can.
LoadReport GenerateLoad(const LoadOptions& options, LoadTarget& target, LoadClock& clock,
                        std::stop_token stop = {});

}  // namespace vit

#endif  // VIT_CLIENT_VITCTL_LOAD_LOAD_GENERATOR_H_
