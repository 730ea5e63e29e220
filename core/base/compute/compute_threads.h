// How many threads LibTorch uses.
#ifndef VIT_CORE_BASE_COMPUTE_COMPUTE_THREADS_H_
#define VIT_CORE_BASE_COMPUTE_COMPUTE_THREADS_H_

namespace vit {

// Makes `count` threads compute what the calling thread starts: LibTorch's operators, and our own
// at::parallel_for loops, which at::set_num_threads alone may leave at another number.
void SetComputeThreads(int count);

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_COMPUTE_THREADS_H_
