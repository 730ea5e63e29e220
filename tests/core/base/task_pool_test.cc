#include "core/base/task_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace vit {
namespace {

TEST(TaskPoolTest, RefusesMoreThanMayWaitAndRunsWhatItTook) {
  std::atomic<int> ran = 0;
  std::latch started(1), go(1);
  {
    TaskPool pool("test", /*threads=*/1, /*max_queued=*/2);
    ASSERT_TRUE(pool.Run([&] {
                      started.count_down();
                      go.wait();
                      ++ran;
                    })
                    .ok());
    started.wait();
    EXPECT_TRUE(pool.Run([&] { ++ran; }).ok());
    EXPECT_TRUE(pool.Run([&] { ++ran; }).ok());
    EXPECT_EQ(pool.Run([&] { ran += 100; }).code(), absl::StatusCode::kResourceExhausted);
    go.count_down();
  }
  EXPECT_EQ(ran, 3);
}

}  // namespace
}  // namespace vit
