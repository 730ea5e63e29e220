// Groups images into batches and computes them, one batch at a time.
#ifndef VIT_CORE_INFER_BATCHER_H_
#define VIT_CORE_INFER_BATCHER_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/compute/compute_team.h"
#include "core/base/mutex.h"
#include "core/infer/frozen_model.h"
#include "core/infer/inference_observer.h"

namespace vit {

// A batch holds images of one model and one kind of work, those of the oldest image. It closes when
// it holds `max_batch_size` images or when its oldest has waited `max_queue_delay`, whichever comes
// first. An image whose deadline passed or whose call was cancelled while it waited is answered
// (DEADLINE_EXCEEDED, CANCELLED) and never computed.
//
// Thread-safe. Destruction answers what is queued with UNAVAILABLE and waits for the batch in
// flight.
class Batcher {
 public:
  struct Options {
    int max_batch_size = 32;
    absl::Duration max_queue_delay = absl::ZeroDuration();
    int threads = 1;  // for one batch
    InferenceObserver* observer = nullptr;
    // Called on the batcher's thread when a batch could not be computed.
    std::function<void(const absl::Status& why)> on_failure = [](const absl::Status&) {};
    Clock* clock = Clock::Real();
  };

  struct Item {
    std::shared_ptr<const FrozenModel> model;
    Work work;
    std::vector<uint8_t> prepared;
    absl::Time deadline;
    std::function<bool()> cancelled;
    // Runs once, on the batcher's thread.
    std::function<void(absl::StatusOr<Computed>)> done;
  };

  explicit Batcher(const Options& options);
  ~Batcher();

  void Submit(Item item);

  // Calls `task`, which must not throw, on the batcher's thread between two batches, with the team
  // that computes them, and returns when it is done. Must not be called during destruction.
  void Run(absl::FunctionRef<void(ComputeTeam* team)> task);

 private:
  struct Queued {
    Item item;
    absl::Time arrival;
  };
  struct Task {
    absl::FunctionRef<void(ComputeTeam*)> run;
    bool done = false;
  };

  void Loop();
  // Waits for a batch and takes it out of the queue. Returns an empty one if only a task waits, and
  // none once the batcher closes.
  std::optional<std::vector<Queued>> NextBatch();
  // Runs the oldest task, if there is one.
  void RunTask();
  void Compute(std::vector<Queued> batch);
  void TellDepth(const std::string& model) VIT_REQUIRES(mu_);

  const Options options_;
  ComputeTeam team_;  // of the batcher's thread
  Mutex mu_;
  CondVar changed_;
  std::deque<Queued> queue_ VIT_GUARDED_BY(mu_);
  std::deque<Task*> tasks_ VIT_GUARDED_BY(mu_);
  bool closing_ VIT_GUARDED_BY(mu_) = false;
  std::thread thread_;  // last: joined before what it uses is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_INFER_BATCHER_H_
