// Metric points on their way to the database.
#ifndef VIT_CORE_RUNS_STORE_HISTORY_BUFFER_H_
#define VIT_CORE_RUNS_STORE_HISTORY_BUFFER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/runs/store/run_store.h"
#include "vit/v1/training.pb.h"

namespace vit {

// Takes points from the training thread without ever making it wait for the disk; other threads
// write them in batches. Thread-safe.
class HistoryBuffer {
 public:
  explicit HistoryBuffer(RunStore* store) : store_(store) {}

  void Add(const std::string& run, const vit::v1::MetricPoint& point);
  // Everything added so far is in the database when this returns OK; after an error it is kept for
  // the next time.
  absl::Status Flush();
  // Like Flush; the points then also survive a power failure.
  absl::Status Sync();
  // Removes the run's points after `step`, written or not.
  absl::Status DropAfter(const std::string& run, int64_t step);
  // Forgets the run's points that are not written yet.
  void Forget(const std::string& run);

 private:
  void RemovePending(const std::string& run, int64_t after_step) VIT_EXCLUDES(mu_);

  RunStore* const store_;
  Mutex flush_mu_;  // before mu_: one batch at a time, in order
  Mutex mu_;
  std::vector<RunStore::HistoryEntry> pending_ VIT_GUARDED_BY(mu_);
};

}  // namespace vit

#endif  // VIT_CORE_RUNS_STORE_HISTORY_BUFFER_H_
