#include "core/model/row_chunks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <mutex>
#include <set>
#include <utility>

#include "tests/core/model/testing.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// Without OpenMP in our own code, one thread would do all the work.
TEST(RowChunksTest, ChunksAreSharedAmongThreads) {
  const ThreadCount count(2);
  std::mutex mutex;
  std::set<int> threads;
  std::set<std::pair<int64_t, int64_t>> chunks;  // first row, rows
  ForEachChunk(2 * kChunkRows + 5, [&](int64_t chunk, int64_t first, int64_t rows) {
    const std::scoped_lock lock(mutex);
    EXPECT_EQ(first, chunk * kChunkRows);
    threads.insert(at::get_thread_num());
    chunks.emplace(first, rows);
  });
  EXPECT_THAT(chunks, ElementsAre(Pair(0, kChunkRows), Pair(kChunkRows, kChunkRows),
                                  Pair(2 * kChunkRows, 5)));
  EXPECT_THAT(threads, ElementsAre(0, 1));
}

TEST(RowChunksTest, NoRowsAreNoChunks) {
  ForEachChunk(0, [](int64_t, int64_t, int64_t) { ADD_FAILURE(); });
}

TEST(RowChunksTest, SumsShares) {
  const at::Tensor shares = at::arange(12, at::kFloat).view({3, 2, 2});
  EXPECT_TRUE(at::equal(SumOfChunks(shares), shares.sum(0)));
}

}  // namespace
}  // namespace vit
