// Shared by the model's tests.
#ifndef VIT_TESTS_CORE_MODEL_TESTING_H_
#define VIT_TESTS_CORE_MODEL_TESTING_H_

#include <torch/torch.h>

#include "core/base/compute/compute_threads.h"

namespace vit {

// Sets the number of compute threads while it lives, regardless of the machine.
class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { SetComputeThreads(count); }
  ~ThreadCount() { SetComputeThreads(before_); }
  ThreadCount(const ThreadCount&) = delete;

 private:
  const int before_;
};

// Returns the largest difference, relative to the largest value. Two zeros have no difference.
inline double LargestError(const at::Tensor& actual, const at::Tensor& exact) {
  const at::Tensor difference = (actual.to(at::kDouble) - exact.to(at::kDouble)).abs().max();
  return (difference / exact.to(at::kDouble).abs().max().clamp_min(1e-300)).item<double>();
}

}  // namespace vit

#endif  // VIT_TESTS_CORE_MODEL_TESTING_H_
