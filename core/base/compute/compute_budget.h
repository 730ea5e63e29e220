// The only owner of compute threads.
#ifndef VIT_CORE_BASE_COMPUTE_COMPUTE_BUDGET_H_
#define VIT_CORE_BASE_COMPUTE_COMPUTE_BUDGET_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"

namespace vit {

// How many threads each kind of work may use. LibTorch keeps an OpenMP team for every thread that
// computes, so threads that compute are created only here and their number is fixed. Immutable;
// copy freely.
class ComputeBudget {
 public:
  // What is added to the niceness of the threads of a training step, so that serving goes first.
  static constexpr int kTrainingNiceness = 10;

  // One thread of each kind.
  ComputeBudget() = default;

  // `threads`: the compute threads of the process; 0 is one for each processor this process may
  // use. INVALID_ARGUMENT below 0 or above 4096. Also turns off OpenCV's own threads.
  static absl::StatusOr<ComputeBudget> Create(int threads);

  // LibTorch's threads for a training step.
  int training_threads() const { return threads_; }
  // Threads that compute inference batches: all, because training's yield to them
  // (kTrainingNiceness).
  int serving_threads() const { return threads_; }
  // Threads that decode and preprocess the images of Classify calls.
  int decode_threads() const { return threads_ > 4 ? threads_ / 2 : 2; }
  // Threads that load training data, if the spec gives no number.
  int loader_threads() const { return threads_; }

  // Starts a thread in which LibTorch uses `intra_op_threads` threads. `name` (15 characters at
  // most) is what top -H shows. `niceness` is added to the calling thread's: above 0 it yields the
  // processor to others.
  static std::thread StartThread(const std::string& name, int intra_op_threads,
                                 std::function<void()> body, int niceness = 0);

 private:
  explicit ComputeBudget(int threads) : threads_(threads) {}
  int threads_ = 1;
};

// Sends LibTorch's warnings to `sink` instead of standard error: those of the calling thread, and
// of every thread that ComputeBudget starts from now on. Call it at most once; `sink` must be
// thread-safe.
void CaptureComputeWarnings(std::function<void(const std::string& message)> sink);

// Prepares a process that computes; call it first in main. `argv`: main's.
//
// Threads that wait for their team sleep rather than spin, unless the environment says otherwise:
// training, loading and serving share the processors, and a spinning thread keeps the very thread
// that it waits for from running (a small run took 27 times as long beside one busy process). The
// OpenMP runtime reads its settings when it is loaded, so a program whose environment does not set
// them re-executes itself once with OMP_WAIT_POLICY=passive. (vitd's launcher has already set it.)
//
// Freed memory is kept: tensors' by TensorCache, the rest by malloc. A training step allocates and
// frees the same large blocks each time, and giving them back to the system costs a page fault for
// every 4 KiB (cifar10_small trained 1.2 times as fast). Train releases memory at its end.
void PrepareComputeProcess(char** argv);

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_COMPUTE_BUDGET_H_
