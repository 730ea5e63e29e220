#include "core/base/compute/compute_team.h"

#include <stdexcept>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/compute/compute_budget.h"

namespace vit {
namespace {

void Pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

// Waits until `value` is no longer `old`: spins at first, then sleeps.
template <typename T>
void AwaitChange(const std::atomic<T>& value, T old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    Pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

ComputeTeam::ComputeTeam(const std::string& name, int size) : thread_count_(size), limit_(size) {
  for (int rank = 1; rank < size; ++rank) {
    threads_.push_back(ComputeBudget::StartThread(absl::StrCat(name, "-", rank), 1,
                                                  [this, rank] { Serve(rank); }));
  }
}

ComputeTeam::~ComputeTeam() {
  closing_ = true;
  ++task_;
  task_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ComputeTeam::Serve(int rank) {
  for (uint32_t seen = 0;; ++seen) {
    AwaitChange(task_, seen, kSpins);
    if (closing_) return;
    if (rank < members_) Work(rank);
    if (busy_.fetch_sub(1) == 1) busy_.notify_one();
  }
}

void ComputeTeam::Work(int rank) {
  try {
    (*work_)(rank);
  } catch (...) {
    Fail(std::current_exception());
  }
}

void ComputeTeam::Fail(std::exception_ptr why) {
  if (failed_.exchange(true)) return;
  failure_ = std::move(why);
  // Releases the members that wait for this one.
  ++passed_;
  passed_.notify_all();
}

void ComputeTeam::Run(int members, absl::FunctionRef<void(int rank)> work) {
  if (members == 1) return work(0);
  work_ = &work;
  members_ = members;
  arrived_ = 0;
  failed_ = false;
  // All threads, also those that have nothing to do: the next task must not begin before each of
  // them has seen this one.
  busy_ = thread_count_ - 1;
  ++task_;
  task_.notify_all();
  Work(0);
  for (int left = busy_; left != 0; left = busy_) AwaitChange(busy_, left, kSpins);
  if (failed_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ComputeTeam::Await() {
  const uint32_t passed = passed_;
  if (failed_) throw std::runtime_error("another thread of the team failed");
  if (arrived_.fetch_add(1) + 1 == members_) {
    arrived_ = 0;
    ++passed_;
    passed_.notify_all();
  } else {
    AwaitChange(passed_, passed, kSpins);
  }
  if (failed_) throw std::runtime_error("another thread of the team failed");
}

}  // namespace vit
