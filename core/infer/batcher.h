// Groups tasks into batches and computes them on threads of its own.
#ifndef VIT_CORE_INFER_BATCHER_H_
#define VIT_CORE_INFER_BATCHER_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/compute_team.h"
#include "core/base/mutex.h"
#include "core/base/task_pool.h"
#include "core/infer/batch_lane.h"
#include "core/infer/inference_observer.h"
#include "core/infer/model_shares.h"

namespace vit {

// A batch holds tasks of one kind. A kind is ready when it has `max_batch_size` tasks or its oldest
// has waited for `max_queue_delay`. Of the ready kinds, that with a task of the highest priority is
// next; among equals, that of the model which has computed least while it had tasks; then that with
// the oldest task. Up to four batches are computed at once. What is ready is split evenly among
// them, and so are the threads: threads of different batches do not wait for each other. Announced
// tasks count as ready for this, and so does the recent average of tasks in flight, because clients
// that wait for an answer soon send the next request. What is left of a batch that was split is
// ready, however young it is.
//
// A task whose deadline passed or whose call was cancelled is evicted: before the next batch, or
// when EvictGivenUp is called, and never computed.
//
// `Task` must be movable and have the members
//   kind: compared by ==, what a batch has in common
//   model(): const std::string&, the model whose share it takes
//   priority, deadline, cancelled: TaskPriority, absl::Time, std::stop_token
// Thread-safe. Destruction evicts what is queued and waits for the batches in flight.
template <typename Task>
class Batcher {
 public:
  struct Options {
    int max_batch_size = 32;
    absl::Duration max_queue_delay = absl::ZeroDuration();
    int threads = 1;  // for all batches together
    // Required. Computes a batch on a thread of the batcher's, with `team`. Must not throw.
    // Returns what is to be done once other batches may have the threads, such as answering.
    std::function<std::function<void()>(std::vector<Task> batch, ComputeTeam* team)> compute;
    // Required. Receives a task that will not be computed.
    std::function<void(Task task, Eviction why)> evict;
    // Receives how many tasks of a model wait, whenever that changes. Called with a lock held.
    std::function<void(const std::string& model, int depth)> on_depth = [](auto&&...) {};
    Clock* clock = Clock::Real();
  };

  // INVALID_ARGUMENT names the option that is out of range.
  static absl::StatusOr<std::unique_ptr<Batcher>> Create(Options options);
  ~Batcher();

  // Announces tasks that will be submitted soon; a negative number takes that back.
  void Expect(int tasks) { expected_ += tasks; }

  // Queues a task, or evicts it if nobody waits for it any more or the batcher is being destroyed.
  void Submit(Task task);

  // Evicts the tasks that nobody waits for any more.
  void EvictGivenUp();

  // Calls `job`, which must not throw, on each thread that takes batches, one after the other, with
  // the threads that are free, and returns when all are done. Nothing else is computed meanwhile if
  // there is one thread. Must not be called during destruction.
  void RunOnEach(absl::FunctionRef<void(ComputeTeam* team)> job);

 private:
  using Lane = BatchLane<Task>;
  using Queued = Lane::Queued;
  struct Job {
    absl::FunctionRef<void(ComputeTeam*)> run;
    std::vector<bool> done_by;
    bool running = false;
  };
  struct Batch {
    std::string model;
    std::vector<Task> tasks;
    int size = 0;
    int members = 0;
  };
  using Evicted = std::vector<std::pair<Task, Eviction>>;

  // The weight of the newest task in others_.
  static constexpr double kRecent = 0.125;

  explicit Batcher(Options options);
  void Loop(int runner);
  // Waits for a notification, at most until then.
  void WaitUntil(absl::Time time) VIT_REQUIRES(mu_);
  // Runs this runner's part of the oldest job if it has not. Returns whether it did.
  bool RunJob(int runner, ComputeTeam* team) VIT_REQUIRES(mu_);
  // Takes the next batch out of the queue, if one is ready and has its threads.
  std::optional<Batch> TakeBatch(absl::Time now) VIT_REQUIRES(mu_);
  // The lowest is next.
  std::tuple<TaskPriority, double, absl::Time> Rank(const Lane& lane) const VIT_REQUIRES(mu_);
  // Returns the next lane, or null if none is ready, and how many tasks the ready ones have.
  Lane* NextLane(absl::Time now, int* ready) VIT_REQUIRES(mu_);
  void Compute(Batch batch, ComputeTeam* team);
  // Returns why a task will not be computed, if so.
  std::optional<Eviction> WhyGivenUp(const Task& task, absl::Time now) const VIT_REQUIRES(mu_);
  // Takes out the tasks that will not be computed.
  Evicted TakeGivenUp() VIT_REQUIRES(mu_);
  void Evict(Evicted evicted);
  // When something may be done without a notification.
  absl::Time NextChange(absl::Time now) const VIT_REQUIRES(mu_);

  const Options options_;
  Mutex mu_;
  CondVar changed_;
  std::deque<Lane> lanes_ VIT_GUARDED_BY(mu_);  // none is empty
  ModelShares shares_ VIT_GUARDED_BY(mu_);
  absl::Time first_deadline_ VIT_GUARDED_BY(mu_) = absl::InfiniteFuture();
  std::deque<Job*> jobs_ VIT_GUARDED_BY(mu_);
  int free_threads_ VIT_GUARDED_BY(mu_);
  int computing_ VIT_GUARDED_BY(mu_) = 0;  // batches
  bool closing_ VIT_GUARDED_BY(mu_) = false;
  std::atomic<int> expected_ = 0;
  int in_flight_ VIT_GUARDED_BY(mu_) = 0;  // submitted, not computed or evicted
  double others_ VIT_GUARDED_BY(mu_) = 0;  // those in flight or announced when a task came, lately
  std::vector<std::thread> runners_;       // last: joined before what they use is destroyed
};

template <typename Task>
absl::StatusOr<std::unique_ptr<Batcher<Task>>> Batcher<Task>::Create(Options options) {
  const auto at_least_one = [](absl::string_view name, int value) {
    return value >= 1 ? absl::OkStatus()
                      : absl::InvalidArgumentError(
                            absl::StrCat(name, " is ", value, "; expected at least 1"));
  };
  for (const absl::Status& status : {at_least_one("max_batch_size", options.max_batch_size),
                                     at_least_one("threads", options.threads)}) {
    if (!status.ok()) return status;
  }
  if (options.max_queue_delay < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("max_queue_delay is ",
                                                   absl::FormatDuration(options.max_queue_delay),
                                                   "; expected at least 0"));
  }
  return std::unique_ptr<Batcher>(new Batcher(std::move(options)));
}

template <typename Task>
Batcher<Task>::Batcher(Options options)
    : options_(std::move(options)), free_threads_(options_.threads) {
  // Two at least: while one answers, another computes.
  const int runners = std::clamp(options_.threads, 2, 4);
  MutexLock lock(&mu_);  // they read how many there are
  for (int i = 0; i < runners; ++i) {
    runners_.push_back(
        ComputeBudget::StartThread("infer", options_.threads, [this, i] { Loop(i); }));
  }
}

template <typename Task>
Batcher<Task>::~Batcher() {
  Evicted left;
  {
    MutexLock lock(&mu_);
    closing_ = true;
    left = TakeGivenUp();
    changed_.NotifyAll();
  }
  Evict(std::move(left));
  for (std::thread& runner : runners_) runner.join();
}

template <typename Task>
void Batcher<Task>::Submit(Task task) {
  Evicted evicted;
  {
    MutexLock lock(&mu_);
    if (const std::optional<Eviction> why = WhyGivenUp(task, options_.clock->Now())) {
      evicted.emplace_back(std::move(task), *why);
    } else {
      auto lane = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& other) {
        return other.First()->task.kind == task.kind;
      });
      if (lane == lanes_.end()) lane = lanes_.emplace(lanes_.end());
      first_deadline_ = std::min(first_deadline_, task.deadline);
      others_ += kRecent * (static_cast<double>(in_flight_ + expected_) - others_);
      ++in_flight_;
      const std::string model = task.model();
      const auto level = static_cast<size_t>(task.priority);
      lane->tasks[level].push_back({std::move(task), options_.clock->Now()});
      ++lane->count;
      options_.on_depth(model, shares_.Add(model));
      changed_.NotifyAll();
    }
  }
  Evict(std::move(evicted));
}

template <typename Task>
std::optional<Eviction> Batcher<Task>::WhyGivenUp(const Task& task, absl::Time now) const {
  if (task.cancelled.stop_requested()) return Eviction::kCancelled;
  if (task.deadline <= now) return Eviction::kDeadline;
  if (closing_) return Eviction::kShutdown;
  return std::nullopt;
}

template <typename Task>
Batcher<Task>::Evicted Batcher<Task>::TakeGivenUp() {
  Evicted evicted;
  const absl::Time now = options_.clock->Now();
  first_deadline_ = absl::InfiniteFuture();
  for (Lane& lane : lanes_) {
    for (std::deque<Queued>& level : lane.tasks) {
      for (Queued& queued : level) {
        const std::optional<Eviction> why = WhyGivenUp(queued.task, now);
        if (!why) {
          first_deadline_ = std::min(first_deadline_, queued.task.deadline);
          continue;
        }
        --lane.count;
        lane.divided = std::min(lane.divided, lane.count);
        --in_flight_;
        const std::string& model = queued.task.model();
        options_.on_depth(model, shares_.Remove(model, 1));
        evicted.emplace_back(std::move(queued.task), *why);
        queued.arrival = absl::InfiniteFuture();  // marks it as taken
      }
      std::erase_if(level, [](const Queued& q) { return q.arrival == absl::InfiniteFuture(); });
    }
  }
  std::erase_if(lanes_, [](const Lane& lane) { return lane.count == 0; });
  return evicted;
}

template <typename Task>
void Batcher<Task>::Evict(Evicted evicted) {
  for (auto& [task, why] : evicted) options_.evict(std::move(task), why);
}

template <typename Task>
void Batcher<Task>::EvictGivenUp() {
  Evicted evicted;
  {
    MutexLock lock(&mu_);
    evicted = TakeGivenUp();
  }
  Evict(std::move(evicted));
}

template <typename Task>
void Batcher<Task>::RunOnEach(absl::FunctionRef<void(ComputeTeam* team)> job) {
  Job waiting{job, std::vector<bool>(runners_.size()), false};
  MutexLock lock(&mu_);
  jobs_.push_back(&waiting);
  changed_.NotifyAll();
  while (!std::all_of(waiting.done_by.begin(), waiting.done_by.end(), [](bool b) { return b; })) {
    changed_.Wait(&mu_);
  }
  jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &waiting));
  changed_.NotifyAll();
}

template <typename Task>
bool Batcher<Task>::RunJob(int runner, ComputeTeam* team) {
  Job* const job = jobs_.front();
  if (job->running || job->done_by[runner] || free_threads_ == 0) return false;
  job->running = true;
  const int members = std::exchange(free_threads_, 0);
  mu_.Unlock();
  team->Limit(members);
  job->run(team);
  mu_.Lock();
  free_threads_ += members;
  job->running = false;
  job->done_by[runner] = true;
  changed_.NotifyAll();
  return true;
}

template <typename Task>
std::tuple<TaskPriority, double, absl::Time> Batcher<Task>::Rank(const Lane& lane) const {
  const Task& first = lane.First()->task;
  return {first.priority, shares_.used(first.model()), lane.OldestArrival()};
}

template <typename Task>
Batcher<Task>::Lane* Batcher<Task>::NextLane(absl::Time now, int* ready) {
  Lane* next = nullptr;
  *ready = 0;
  for (Lane& lane : lanes_) {
    if (lane.count < options_.max_batch_size && lane.divided == 0 &&
        now < lane.OldestArrival() + options_.max_queue_delay) {
      continue;
    }
    *ready += lane.count;
    if (next == nullptr || Rank(lane) < Rank(*next)) next = &lane;
  }
  return next;
}

template <typename Task>
std::optional<typename Batcher<Task>::Batch> Batcher<Task>::TakeBatch(absl::Time now) {
  int ready = 0;
  Lane* const lane = NextLane(now, &ready);
  if (lane == nullptr || free_threads_ == 0) return std::nullopt;
  const int soon = std::max(ready + expected_.load(), 1 + static_cast<int>(std::lround(others_)));
  const int batches = std::min({soon, options_.threads, static_cast<int>(runners_.size())});
  const int size = std::min((lane->count + batches - 1) / batches, options_.max_batch_size);
  const int to_come = std::max(1, batches - computing_);
  const int members = (free_threads_ + to_come - 1) / to_come;
  free_threads_ -= members;
  ++computing_;
  Batch batch = {lane->First()->task.model(), {}, size, members};
  lane->divided = lane->divided > 0 ? std::max(0, lane->divided - size)
                                    : std::min(lane->count, options_.max_batch_size) - size;
  batch.tasks = lane->Take(size);
  shares_.BeginBatch(batch.model);
  options_.on_depth(batch.model, shares_.Remove(batch.model, size));
  std::erase_if(lanes_, [](const Lane& other) { return other.count == 0; });
  return batch;
}

template <typename Task>
absl::Time Batcher<Task>::NextChange(absl::Time now) const {
  absl::Time next = first_deadline_;
  for (const Lane& lane : lanes_) {
    const absl::Time close = lane.OldestArrival() + options_.max_queue_delay;
    if (close > now) next = std::min(next, close);
  }
  return next;
}

template <typename Task>
void Batcher<Task>::WaitUntil(absl::Time time) {
  if (time < absl::InfiniteFuture()) {
    options_.clock->WaitUntil(&changed_, &mu_, time);
  } else {
    changed_.Wait(&mu_);
  }
}

template <typename Task>
void Batcher<Task>::Loop(int runner) {
  ComputeTeam team("infer", options_.threads);
  mu_.Lock();
  while (!closing_) {
    const absl::Time now = options_.clock->Now();
    if (now >= first_deadline_) {
      Evicted evicted = TakeGivenUp();
      mu_.Unlock();
      Evict(std::move(evicted));
      mu_.Lock();
    } else if (!jobs_.empty() && RunJob(runner, &team)) {
      // Something else may be ready now.
    } else if (std::optional<Batch> batch = TakeBatch(now)) {
      mu_.Unlock();
      Compute(*std::move(batch), &team);
      mu_.Lock();
    } else {
      WaitUntil(NextChange(now));
    }
  }
  mu_.Unlock();
}

template <typename Task>
void Batcher<Task>::Compute(Batch batch, ComputeTeam* team) {
  team->Limit(batch.members);
  const absl::Time start = options_.clock->Now();
  const std::function<void()> finish = options_.compute(std::move(batch.tasks), team);
  const double seconds = absl::ToDoubleSeconds(options_.clock->Now() - start);
  {
    MutexLock lock(&mu_);
    free_threads_ += batch.members;
    --computing_;
    in_flight_ -= batch.size;
    shares_.EndBatch(batch.model, seconds * batch.members);
    changed_.NotifyAll();
  }
  finish();
}

}  // namespace vit

#endif  // VIT_CORE_INFER_BATCHER_H_
