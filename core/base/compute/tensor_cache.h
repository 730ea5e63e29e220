// LibTorch's memory on the CPU: large blocks are kept for the next tensor of their size.
#ifndef VIT_CORE_BASE_COMPUTE_TENSOR_CACHE_H_
#define VIT_CORE_BASE_COMPUTE_TENSOR_CACHE_H_

#include <cstdint>

namespace vit {

// A training step allocates and frees the same large tensors each time. Giving them back to the
// system costs a page fault for every 4 KiB; keeping them in one heap for all threads makes the
// threads wait for its lock, which oneDNN takes for each of its small objects. So blocks from
// kLeastBytes on are kept here, by size class, and smaller ones are malloc's as it comes.
//
// Sizes are rounded up to eighths of a power of two, so that at most an eighth of a block is
// unused. A block that is freed waits in its class for the next tensor of that class, whatever the
// thread. Once twice as much is held as tensors ever used at once, all that waits is given back.
// Thread-safe.
class TensorCache {
 public:
  static constexpr int64_t kLeastBytes = 16 << 10;

  // Makes it LibTorch's allocator for the CPU, for the life of the process; not under a sanitizer,
  // which would no longer see a tensor that is used after it was freed. Call before the first
  // tensor is made.
  static void Install();

  // Gives the blocks that no tensor uses back to the system.
  static void Trim();

  struct Stats {
    int64_t used_bytes = 0;  // by tensors
    int64_t kept_bytes = 0;  // waiting for the next one
  };
  static Stats stats();
};

}  // namespace vit

#endif  // VIT_CORE_BASE_COMPUTE_TENSOR_CACHE_H_
