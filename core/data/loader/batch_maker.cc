#include "core/data/loader/batch_maker.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/status.h"

namespace vit {
namespace {

// Loading yields to compute, which should never wait for a processor.
constexpr int kNiceness = 10;

// Images that a thread takes at once: few enough that threads share a batch's last ones, enough
// that locking is rare.
constexpr int kMostTaken = 8;

}  // namespace

BatchMaker::BatchMaker(Options options)
    : options_(std::move(options)),
      image_bytes_(size_t{3} * options_.image_size * options_.image_size) {
  const int threads = std::max(options_.threads, 1);
  try {
    for (int i = 0; i < threads; ++i) {
      threads_.push_back(ComputeBudget::StartThread(
          absl::StrCat("loader-", i), /*intra_op_threads=*/1, [this] { RunThread(); }, kNiceness));
    }
  } catch (...) {  // no thread left; the running ones must end before this object is destroyed
    StopThreads();
    throw;
  }
}

BatchMaker::~BatchMaker() { StopThreads(); }

void BatchMaker::StopThreads() {
  stop_.request_stop();
  {
    MutexLock lock(&mu_);
    work_changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

BatchMaker::Work* BatchMaker::FindWork() {
  for (const std::unique_ptr<Work>& work : queue_) {
    if (work->taken < work->size()) return work.get();
  }
  if (at_end_ || queue_.size() >= static_cast<size_t>(std::max(options_.prefetch_batches, 1))) {
    return nullptr;
  }
  std::optional<Plan> plan = options_.next_plan();
  if (!plan.has_value()) {
    at_end_ = true;
    front_is_done_.NotifyAll();
    return nullptr;
  }
  auto work = std::make_unique<Work>();
  work->plan = *std::move(plan);
  work->readable.resize(work->size());
  queue_.push_back(std::move(work));
  work_changed_.NotifyAll();
  return queue_.back().get();
}

void BatchMaker::RunThread() {
  const absl::Status ended = CatchExceptions("load data", [this] { return FillBatches(); });
  if (ended.ok()) return;
  MutexLock lock(&mu_);
  error_ = ended;
  front_is_done_.NotifyAll();
}

absl::Status BatchMaker::FillBatches() {
  while (true) {
    Work* work = nullptr;
    int first = 0;
    int count = 0;
    {
      MutexLock lock(&mu_);
      while (!stop_.stop_requested() && (work = FindWork()) == nullptr) work_changed_.Wait(&mu_);
      if (stop_.stop_requested()) return absl::OkStatus();
      const int share = work->size() / (4 * static_cast<int>(options_.threads) + 1);
      first = work->taken;
      count = std::min(std::clamp(share, 1, kMostTaken), work->size() - first);
      work->taken += count;
    }
    // Without the lock: the work stays in the queue until all its places are done, and only this
    // thread fills these. Memory may have to be allocated, and pinned for CUDA.
    std::call_once(work->allocated, [&] {
      work->images = HostBuffer(image_bytes_ * work->size(), options_.device);
    });
    for (int place = first; place < first + count; ++place) {
      if (stop_.stop_requested()) return absl::OkStatus();
      VIT_ASSIGN_OR_RETURN(work->readable[place],
                           options_.read(work->plan, work->plan.draws[place],
                                         work->images.data() + image_bytes_ * place));
    }
    MutexLock lock(&mu_);
    work->done += count;
    if (work->done == work->size()) front_is_done_.NotifyAll();
  }
}

absl::StatusOr<std::optional<Batch>> BatchMaker::Next(const std::stop_token& stop) {
  std::unique_ptr<Work> work;
  {
    const std::stop_callback wake(stop, [this] {
      MutexLock lock(&mu_);
      front_is_done_.NotifyAll();
    });
    MutexLock lock(&mu_);
    while (!stop.stop_requested() && error_.ok() &&
           (queue_.empty() ? !at_end_ : queue_.front()->done < queue_.front()->size())) {
      front_is_done_.Wait(&mu_);
    }
    if (stop.stop_requested()) return absl::CancelledError("loading was stopped");
    if (!error_.ok()) return error_;
    if (queue_.empty()) return std::nullopt;
    work = std::move(queue_.front());
    queue_.pop_front();
    work_changed_.NotifyAll();
  }
  return Finish(std::move(work));
}

Batch BatchMaker::Finish(std::unique_ptr<Work> work) const {
  Batch batch;
  batch.step = work->plan.step;
  batch.image_size = options_.image_size;
  batch.size = work->size();
  for (int place = 0; place < batch.size; ++place) {
    if (!work->readable[place]) continue;
    const size_t to = batch.slots.size();
    if (to != static_cast<size_t>(place)) {
      memcpy(work->images.data() + image_bytes_ * to, work->images.data() + image_bytes_ * place,
             image_bytes_);
    }
    batch.slots.push_back(place);
    batch.labels.push_back(options_.label(work->plan.draws[place].index));
  }
  batch.images = std::move(work->images);
  batch.images.Shrink(image_bytes_ * batch.slots.size());
  return batch;
}

}  // namespace vit
