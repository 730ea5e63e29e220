#include "core/base/compute/tensor_cache.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/alignment.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <vector>

#include "core/base/mutex.h"

namespace vit {
namespace {

// In front of each block, sized to keep the block aligned: LibTorch frees by the pointer alone.
struct alignas(c10::gAlignment) Header {
  int size_class;
};
constexpr int kSmall = -1;  // malloc's

constexpr int kStepsPerPower = 8;
constexpr int kLeastPower = 14;  // kLeastBytes
constexpr int kPowers = 36;      // up to 2^50 bytes
constexpr int kClasses = kPowers * kStepsPerPower;
static_assert(TensorCache::kLeastBytes == int64_t{1} << kLeastPower);

// The smallest class whose blocks hold `bytes`.
int ClassOf(size_t bytes) {
  const int power = std::max(kLeastPower, static_cast<int>(std::bit_width(bytes - 1)) - 1);
  const size_t base = size_t{1} << power, step = base / kStepsPerPower;
  const size_t steps = bytes <= base ? 0 : (bytes - base + step - 1) / step;
  return (power - kLeastPower) * kStepsPerPower + static_cast<int>(steps);
}

size_t BytesOf(int size_class) {
  const size_t base = size_t{1} << (kLeastPower + size_class / kStepsPerPower);
  return base + base / kStepsPerPower * (size_class % kStepsPerPower);
}

class Blocks {
 public:
  void* Take(size_t bytes) {
    const int size_class = ClassOf(bytes);
    const auto size = static_cast<int64_t>(BytesOf(size_class));
    const int64_t used = used_ += size;
    int64_t most = most_used_;
    while (used > most && !most_used_.compare_exchange_weak(most, used)) {
    }
    {
      Class& kept = classes_[size_class];
      MutexLock lock(&kept.mu);
      if (!kept.free.empty()) {
        void* block = kept.free.back();
        kept.free.pop_back();
        kept_ -= size;
        return block;
      }
    }
    // Sizes that change, such as those of served batches, must not pile up blocks.
    if (used + kept_ > 2 * most_used_ + kAlwaysKept) FreeKept();
    void* memory = nullptr;
    try {
      memory = NewMemory(size);
    } catch (...) {
      used_ -= size;
      throw;
    }
    auto* header = new (memory) Header{size_class};
    return header + 1;
  }

  void Give(void* block, int size_class) {
    const auto size = static_cast<int64_t>(BytesOf(size_class));
    used_ -= size;
    kept_ += size;
    Class& kept = classes_[size_class];
    MutexLock lock(&kept.mu);
    kept.free.push_back(block);
  }

  void Trim() {
    FreeKept();
    malloc_trim(0);
  }

  TensorCache::Stats stats() const { return {.used_bytes = used_, .kept_bytes = kept_}; }

 private:
  static constexpr int64_t kAlwaysKept = int64_t{64} << 20;

  void* NewMemory(int64_t size) {
    try {
      return c10::alloc_cpu(sizeof(Header) + size);
    } catch (const c10::Error&) {
      FreeKept();
      return c10::alloc_cpu(sizeof(Header) + size);
    }
  }

  void FreeKept() {
    for (int size_class = 0; size_class < kClasses; ++size_class) {
      std::vector<void*> blocks;
      {
        Class& kept = classes_[size_class];
        MutexLock lock(&kept.mu);
        blocks.swap(kept.free);
      }
      kept_ -= static_cast<int64_t>(blocks.size() * BytesOf(size_class));
      for (void* block : blocks) c10::free_cpu(static_cast<Header*>(block) - 1);
    }
  }

  struct Class {
    Mutex mu;
    std::vector<void*> free VIT_GUARDED_BY(mu);
  };
  std::array<Class, kClasses> classes_;
  std::atomic<int64_t> used_ = 0, kept_ = 0, most_used_ = 0;
};

// Never destroyed: tensors of static objects outlive main.
Blocks& blocks() {
  static auto* const blocks = new Blocks;
  return *blocks;
}

void* Allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  constexpr size_t kMostBytes = size_t{1}
                                << (kLeastPower + kPowers - 1);  // more than any machine has
  if (bytes >= static_cast<size_t>(TensorCache::kLeastBytes) && bytes <= kMostBytes) {
    return blocks().Take(bytes);
  }
  return new (c10::alloc_cpu(sizeof(Header) + bytes)) Header{kSmall} + 1;
}

void Free(void* block) {
  if (block == nullptr) return;
  Header* const header = static_cast<Header*>(block) - 1;
  if (header->size_class == kSmall) {
    c10::free_cpu(header);
  } else {
    blocks().Give(block, header->size_class);
  }
}

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const data = Allocate(bytes);
    return {data, data, &Free, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }
};

}  // namespace

void TensorCache::Install() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  static CachingAllocator allocator;
  c10::SetCPUAllocator(&allocator, /*priority=*/1);
#endif
}

void TensorCache::Trim() { blocks().Trim(); }

TensorCache::Stats TensorCache::stats() { return blocks().stats(); }

}  // namespace vit
