// Threads that compute one task together.
#ifndef VIT_CORE_BASE_COMPUTE_COMPUTE_TEAM_H_
#define VIT_CORE_BASE_COMPUTE_COMPUTE_TEAM_H_

#include <atomic>
#include <cstdint>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace vit {

// A fixed number of threads, the caller's among them. Unlike LibTorch's own teams, all of them
// certainly run a task at the same time, so that its parts can wait for each other, which costs
// about a microsecond.
//
// One task at a time: Run must not be called by two threads at once.
class ComputeTeam {
 public:
  // `name` (12 characters at most) is what top -H shows of the other threads. `size`: at least 1.
  ComputeTeam(const std::string& name, int size);
  ~ComputeTeam();

  // How many threads the next task may have: the limit.
  int size() const { return limit_; }
  // Sets it, to 1 or more, at most the number of threads; at first it is that.
  void Limit(int members) { limit_ = members; }

  // Calls work(rank) with every rank below `members` at once, 0 on the calling thread, and returns
  // when all have returned. `members`: 1 to the number of threads. What a rank throws is thrown
  // here.
  void Run(int members, absl::FunctionRef<void(int rank)> work);

  // Waits, in a task, until each of its members has called it as often. Throws if another member
  // has thrown.
  void Await();

 private:
  // How long a thread asks again and again before it sleeps.
  static constexpr int kSpins = 2000;

  void Serve(int rank);
  void Work(int rank);
  void Fail(std::exception_ptr why);

  const int thread_count_;
  int limit_;
  // The current task. Written by Run before `task_` changes.
  const absl::FunctionRef<void(int)>* work_ = nullptr;
  int members_ = 0;
  std::atomic<uint32_t> task_{0};    // counts tasks
  std::atomic<int> busy_{0};         // other threads that have not finished it
  std::atomic<int> arrived_{0};      // members in the current Await
  std::atomic<uint32_t> passed_{0};  // counts finished Awaits
  std::atomic<bool> failed_{false};
  std::exception_ptr failure_;  // of the first member that failed
  std::atomic<bool> closing_{false};
  std::vector<std::thread> threads_;  // last: joined before what they use is destroyed
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_COMPUTE_TEAM_H_
