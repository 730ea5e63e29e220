// A fixed number of threads that run tasks by priority, then in order of arrival.
#ifndef VIT_CORE_BASE_TASK_POOL_H_
#define VIT_CORE_BASE_TASK_POOL_H_

#include <array>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "core/base/mutex.h"

namespace vit {

// How soon a task is run.
enum class TaskPriority { kHigh, kNormal, kLow };

// Thread-safe. Destruction runs the queued tasks, then joins.
class TaskPool {
 public:
  // `name`: of its threads. `max_queued`: how many tasks may wait; beyond that, Run returns
  // RESOURCE_EXHAUSTED.
  TaskPool(const std::string& name, int threads, int max_queued);
  ~TaskPool();

  // Queues `task`, or returns an error and never runs it.
  absl::Status Run(std::function<void()> task, TaskPriority priority = TaskPriority::kNormal);

 private:
  void Work();

  const size_t max_queued_;
  Mutex mu_;
  CondVar changed_;
  bool stopping_ VIT_GUARDED_BY(mu_) = false;
  size_t queued_ VIT_GUARDED_BY(mu_) = 0;
  std::array<std::deque<std::function<void()>>, 3> tasks_ VIT_GUARDED_BY(mu_);  // by priority
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace vit

#endif  // VIT_CORE_BASE_TASK_POOL_H_
