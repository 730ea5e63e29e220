#include "core/base/compute/compute_budget.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <opencv2/core/utility.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/base/mutex.h"

namespace vit {
namespace {

TEST(ComputeBudgetTest, EachThreadHasItsOwnTeamSize) {
  int first = 0, second = 0;
  ComputeBudget::StartThread("first", 3, [&] { first = at::get_num_threads(); }).join();
  ComputeBudget::StartThread("second", 1, [&] { second = at::get_num_threads(); }).join();
  EXPECT_EQ(first, 3);
  EXPECT_EQ(second, 1);
}

TEST(ComputeBudgetTest, ALaterThreadDoesNotChangeARunningOne) {
  int after = 0;
  ComputeBudget::StartThread("outer", 2, [&] {
    ComputeBudget::StartThread("inner", 5, [] { at::get_num_threads(); }).join();
    after = at::get_num_threads();
  }).join();
  EXPECT_EQ(after, 2);
}

TEST(ComputeBudgetTest, ANicedThreadYields) {
  int niceness = -1;
  ComputeBudget::StartThread(
      "nice", 1, [&] { niceness = getpriority(PRIO_PROCESS, 0); }, 7)
      .join();
  EXPECT_EQ(niceness, getpriority(PRIO_PROCESS, 0) + 7);
}

TEST(ComputeBudgetTest, LibTorchsWarningsGoToTheSink) {
  static std::vector<std::string> warnings;
  CaptureComputeWarnings([](const std::string& message) { warnings.push_back(message); });
  TORCH_WARN("here");
  ComputeBudget::StartThread("other", 1, [] { TORCH_WARN("there"); }).join();
  EXPECT_EQ(warnings, (std::vector<std::string>{"here", "there"}));
}

TEST(ComputeBudgetTest, OpenCvMakesNoThreadsOfItsOwn) {
  ASSERT_TRUE(ComputeBudget::Create(2).ok());
  Mutex mu;
  std::set<std::thread::id> threads;
  cv::parallel_for_(cv::Range(0, 64), [&](const cv::Range&) {
    MutexLock lock(&mu);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(threads, std::set{std::this_thread::get_id()});
}

TEST(ComputeBudgetTest, TrainingAndServingEachHaveAllThreads) {
  const auto budget = ComputeBudget::Create(16);
  ASSERT_TRUE(budget.ok());
  EXPECT_EQ(budget->training_threads(), 16);
  EXPECT_EQ(budget->serving_threads(), 16);  // training yields: ComputeBudget::kTrainingNiceness
  EXPECT_EQ(ComputeBudget::Create(-1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vit
