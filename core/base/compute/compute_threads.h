// How many threads LibTorch uses. Only for the rooms that compute.
#ifndef VIT_CORE_BASE_COMPUTE_COMPUTE_THREADS_H_
#define VIT_CORE_BASE_COMPUTE_COMPUTE_THREADS_H_

namespace vit {

// What the calling thread starts is computed by `count` threads: LibTorch's operators, and our own
// loops of at::parallel_for, which at::set_num_threads alone may leave at another number.
void SetComputeThreads(int count);

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_COMPUTE_THREADS_H_
