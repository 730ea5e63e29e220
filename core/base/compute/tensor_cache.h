// LibTorch's memory on the CPU: large blocks are kept for the next tensor of their size.
#ifndef VIT_CORE_BASE_COMPUTE_TENSOR_CACHE_H_
#define VIT_CORE_BASE_COMPUTE_TENSOR_CACHE_H_

#include <cstdint>

namespace vit {

// A training step allocates and frees the same large tensors each time. Giving them back to the
// system costs a page fault for every 4 KiB; keeping them in one heap for all threads makes the
// threads wait for its lock, which oneDNN takes for each of its small objects. So this class keeps
// blocks of at least kLeastBytes, by size class, and leaves smaller ones to malloc.
//
// Sizes are rounded up to eighths of a power of two, so that at most an eighth of a block is
// unused. A freed block waits in its class for the next tensor of that class, on any thread. Once
// twice as much is held as tensors ever used at once, all waiting blocks are released. Thread-safe.
class TensorCache {
 public:
  static constexpr int64_t kLeastBytes = 16 << 10;

  // Makes it LibTorch's CPU allocator for the life of the process, except under a sanitizer, which
  // would miss a tensor that is used after it was freed. Call it before the first tensor is made.
  static void Install();

  // Returns the blocks that no tensor uses to the system.
  static void Trim();

  struct Stats {
    int64_t used_bytes = 0;  // by tensors
    int64_t kept_bytes = 0;  // waiting for the next one
  };
  static Stats stats();
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_TENSOR_CACHE_H_
