#include "core/base/compute/tensor_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

namespace vit {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kInstalled = false;  // the sanitizers see every block themselves
#else
constexpr bool kInstalled = true;
#endif

class TensorCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kInstalled) GTEST_SKIP() << "not under a sanitizer";
    static const bool installed = (TensorCache::Install(), true);
    (void)installed;
    TensorCache::Trim();
  }
};

at::Tensor Bytes(int64_t count) { return at::empty({count}, at::kByte); }

TEST_F(TensorCacheTest, AFreedBlockServesTheNextTensorOfItsClass) {
  constexpr int64_t kBytes = 1 << 20;
  void* const first = Bytes(kBytes).mutable_data_ptr();
  const at::Tensor again = Bytes(kBytes - 100);
  EXPECT_EQ(again.const_data_ptr(), first);
  EXPECT_NE(Bytes(kBytes).const_data_ptr(), first);
  EXPECT_NE(Bytes(2 * kBytes).const_data_ptr(), first);
}

TEST_F(TensorCacheTest, BlocksAreLargeEnoughAndAligned) {
  std::vector<at::Tensor> tensors;
  const int64_t before = TensorCache::stats().used_bytes;
  int64_t cached = 0;
  for (const int64_t base : {int64_t{1}, TensorCache::kLeastBytes, int64_t{3} << 20}) {
    for (int64_t count = base; count < base + 200; count += 7) {
      tensors.push_back(Bytes(count).fill_(static_cast<int>(tensors.size() % 256)));
      EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors.back().const_data_ptr()) % 64, 0u);
      if (count >= TensorCache::kLeastBytes) cached += count;
    }
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_TRUE(tensors[i].eq(static_cast<int>(i % 256)).all().item<bool>()) << i;
  }
  const int64_t used = TensorCache::stats().used_bytes - before;
  EXPECT_GE(used, cached);
  EXPECT_LE(used, cached + cached / 8 + 8 * static_cast<int64_t>(tensors.size()));
}

TEST_F(TensorCacheTest, TrimGivesBackWhatNoTensorUses) {
  const at::Tensor kept = Bytes(5 << 20);
  Bytes(5 << 20);
  Bytes(7 << 20);
  EXPECT_GE(TensorCache::stats().kept_bytes, 12 << 20);
  TensorCache::Trim();
  EXPECT_EQ(TensorCache::stats().kept_bytes, 0);
  EXPECT_GE(TensorCache::stats().used_bytes, 5 << 20);
}

TEST_F(TensorCacheTest, RawBlocksOfLibTorchsOwnUseAreTakenBack) {
  c10::Allocator* const allocator = c10::GetAllocator(c10::kCPU);
  for (const size_t bytes : {size_t{0}, size_t{10}, size_t{1} << 20}) {
    void* const block = allocator->raw_allocate(bytes);
    allocator->raw_deallocate(block);
  }
}

TEST_F(TensorCacheTest, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) {
        const at::Tensor tensor = Bytes(TensorCache::kLeastBytes * (1 + i % 3)).fill_(t);
        ASSERT_TRUE(tensor.eq(t).all().item<bool>());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace vit
