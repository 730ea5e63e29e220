#include "core/base/task_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"

namespace vit {

TaskPool::TaskPool(const std::string& name, int threads, int max_queued) : max_queued_(max_queued) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(
        ComputeBudget::StartThread(absl::StrCat(name, "-", i), 1, [this] { Work(); }));
  }
}

TaskPool::~TaskPool() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::Status TaskPool::Run(std::function<void()> task, TaskPriority priority) {
  MutexLock lock(&mu_);
  if (queued_ >= max_queued_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(queued_, " tasks are already waiting; retry in a moment"));
  }
  ++queued_;
  tasks_[static_cast<size_t>(priority)].push_back(std::move(task));
  changed_.NotifyOne();
  return absl::OkStatus();
}

void TaskPool::Work() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(&mu_);
      while (queued_ == 0 && !stopping_) changed_.Wait(&mu_);
      if (queued_ == 0) return;
      --queued_;
      auto& first =
          *std::find_if(tasks_.begin(), tasks_.end(), [](const auto& q) { return !q.empty(); });
      task = std::move(first.front());
      first.pop_front();
    }
    task();
  }
}

}  // namespace vit
