// A pool of threads that fills batches ahead of their consumer; the basis of TrainLoader and
// EvalLoader.
#ifndef VIT_CORE_DATA_LOADER_BATCH_MAKER_H_
#define VIT_CORE_DATA_LOADER_BATCH_MAKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/base/mutex.h"
#include "core/data/loader/batch.h"
#include "core/data/loader/sample_order.h"
#include "core/data/loader/sample_reader.h"

namespace vit {

// At most `prefetch_batches` batches are in progress or ready. The threads share the work of the
// oldest unfinished batch, image by image, and start the next one only when no image of it is left
// to take. Batches come out in order. One consumer; the destructor stops and joins the threads,
// waiting for at most one image each.
class BatchMaker {
 public:
  // One batch to make.
  struct Plan {
    int64_t step = 0;
    int64_t epoch = 0;
    std::vector<SampleDraw> draws;  // one per place
  };
  struct Options {
    int image_size = 0;
    int threads = 1;
    int prefetch_batches = 4;
    Device device = Device::Cpu();  // reads the batches
    // Returns the next batch in order; none at the end. Called by one thread at a time.
    std::function<std::optional<Plan>()> next_plan;
    std::function<int64_t(int64_t index)> label;
    // Fills `out` with a sample; false if it cannot be read. An error stops the loading. Called
    // from many threads.
    std::function<absl::StatusOr<bool>(const Plan& plan, const SampleDraw& draw, uint8_t* out)>
        read;
  };

  explicit BatchMaker(Options options);
  ~BatchMaker();

  // Returns the next batch; none at the end. CANCELLED once `stop` is requested.
  absl::StatusOr<std::optional<Batch>> Next(const std::stop_token& stop);

 private:
  struct Work {
    Plan plan;
    std::once_flag allocated;
    HostBuffer images;  // one place per sample
    std::vector<uint8_t> readable;
    int taken = 0;  // places that a thread has taken
    int done = 0;   // places that are filled
    int size() const { return static_cast<int>(plan.draws.size()); }
  };

  void StopThreads();
  void RunThread();
  // Takes and fills places until stopped.
  absl::Status FillBatches();
  // Returns the oldest batch with places left to take, planning a new one if there is room; null if
  // there is nothing to do.
  Work* FindWork() VIT_REQUIRES(mu_);
  Batch Finish(std::unique_ptr<Work> work) const;

  const Options options_;
  const size_t image_bytes_;
  std::stop_source stop_;

  Mutex mu_;
  CondVar work_changed_;   // there may be places to take
  CondVar front_is_done_;  // the oldest batch may be ready, or the end known
  std::deque<std::unique_ptr<Work>> queue_ VIT_GUARDED_BY(mu_);
  bool at_end_ VIT_GUARDED_BY(mu_) = false;
  absl::Status error_ VIT_GUARDED_BY(mu_);  // from a thread that failed
  std::vector<std::thread> threads_;        // last: joined before what they use is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_DATA_LOADER_BATCH_MAKER_H_
