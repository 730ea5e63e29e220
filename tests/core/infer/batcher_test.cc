#include "core/infer/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "core/base/clock.h"
#include "tests/core/infer/testing.h"

namespace vit {
namespace {

using ::testing::ElementsAre;

using Result = absl::StatusOr<Computed>;

// Records the sizes of batches; the first one waits until it is released, so that others queue
// behind it.
class BatchRecorder : public InferenceObserver {
 public:
  void OnImageDone(const std::string&, int64_t, absl::StatusCode, absl::Duration) override {}
  void OnBatch(const std::string&, int batch_size, absl::Duration) override {
    {
      MutexLock lock(&mu_);
      sizes_.push_back(batch_size);
    }
    if (first_.exchange(false)) gate_.get_future().wait();
  }
  void OnQueued(const std::string&, absl::Duration) override {}
  void OnQueueDepth(const std::string&, int) override {}
  void OnModelLoaded(const std::string&, int64_t) override {}
  void OnModelUnloaded(const std::string&, int64_t) override {}

  void HoldFirstBatch() { first_ = true; }
  void LetGo() { gate_.set_value(); }
  std::vector<int> sizes() {
    MutexLock lock(&mu_);
    return sizes_;
  }

 private:
  std::atomic<bool> first_{false};
  std::promise<void> gate_;
  Mutex mu_;
  std::vector<int> sizes_ VIT_GUARDED_BY(mu_);
};

class BatcherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    checkpoints_.Serve("a", 1);
    checkpoints_.Serve("b", 2);
    a_ = *FrozenModel::Load(*checkpoints_.FindModel("run:a"), Device::Cpu());
    b_ = *FrozenModel::Load(*checkpoints_.FindModel("run:b"), Device::Cpu());
    prepared_ = *a_->Prepare(Encode(SmoothImage(20, 16), ".png"), {});
  }
  std::future<Result> Submit(Batcher& batcher, const std::shared_ptr<const FrozenModel>& model,
                             absl::Time deadline = absl::InfiniteFuture(), bool cancelled = false) {
    auto promise = std::make_shared<std::promise<Result>>();
    std::future<Result> future = promise->get_future();
    batcher.Submit({.model = model,
                    .prepared = prepared_,
                    .deadline = deadline,
                    .cancelled = [cancelled] { return cancelled; },
                    .done = [promise](Result result) { promise->set_value(std::move(result)); }});
    return future;
  }
  TestCheckpoints checkpoints_;
  std::shared_ptr<const FrozenModel> a_, b_;
  std::vector<uint8_t> prepared_;
  FakeClock clock_;
};

TEST_F(BatcherTest, WhatQueuesBehindABatchIsComputedTogetherByModel) {
  BatchRecorder recorder;
  recorder.HoldFirstBatch();
  std::vector<std::future<Result>> results;
  {
    Batcher batcher({.max_batch_size = 3, .observer = &recorder, .clock = &clock_});
    results.push_back(Submit(batcher, a_));
    while (recorder.sizes().empty()) std::this_thread::yield();  // it is being computed
    for (int i = 0; i < 4; ++i) results.push_back(Submit(batcher, a_));
    results.push_back(Submit(batcher, b_));
    recorder.LetGo();
    for (auto& result : results) EXPECT_TRUE(result.get().ok());
  }
  // One alone, then three of model a, then the fourth of a, then b's.
  EXPECT_THAT(recorder.sizes(), ElementsAre(1, 3, 1, 1));
}

TEST_F(BatcherTest, ABatchClosesWhenItsOldestHasWaitedLongEnough) {
  BatchRecorder recorder;
  Batcher batcher({.max_batch_size = 8,
                   .max_queue_delay = absl::Milliseconds(5),
                   .observer = &recorder,
                   .clock = &clock_});
  auto first = Submit(batcher, a_), second = Submit(batcher, a_);
  clock_.AwaitWaiters(1);
  EXPECT_TRUE(recorder.sizes().empty());
  clock_.Advance(absl::Milliseconds(5));
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_THAT(recorder.sizes(), ElementsAre(2));
}

TEST_F(BatcherTest, ATaskRunsOnTheThreadThatComputes) {
  Batcher batcher({.clock = &clock_});
  std::thread::id computing, task;
  std::promise<void> computed;
  batcher.Submit({.model = a_,
                  .prepared = prepared_,
                  .deadline = absl::InfiniteFuture(),
                  .cancelled = [] { return false; },
                  .done =
                      [&](const Result&) {
                        computing = std::this_thread::get_id();
                        computed.set_value();
                      }});
  batcher.Run([&](ComputeTeam* team) {
    task = std::this_thread::get_id();
    EXPECT_TRUE(a_->WarmUp(2, team).ok());
  });
  computed.get_future().wait();
  EXPECT_EQ(task, computing);
  EXPECT_NE(task, std::this_thread::get_id());
}

TEST_F(BatcherTest, AFullBatchDoesNotWait) {
  BatchRecorder recorder;
  Batcher batcher({.max_batch_size = 2,
                   .max_queue_delay = absl::Hours(1),
                   .observer = &recorder,
                   .clock = &clock_});
  auto first = Submit(batcher, a_), second = Submit(batcher, a_);
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
  EXPECT_THAT(recorder.sizes(), ElementsAre(2));
}

TEST_F(BatcherTest, ExpiredAndCancelledImagesAreNeverComputed) {
  BatchRecorder recorder;
  Batcher batcher({.observer = &recorder, .clock = &clock_});
  EXPECT_EQ(Submit(batcher, a_, clock_.Now()).get().status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Submit(batcher, a_, absl::InfiniteFuture(), /*cancelled=*/true).get().status().code(),
            absl::StatusCode::kCancelled);
  EXPECT_TRUE(recorder.sizes().empty());
}

TEST_F(BatcherTest, DestructionAnswersWhatIsQueuedWithUnavailable) {
  std::future<Result> queued;
  {
    Batcher batcher({.max_batch_size = 8, .max_queue_delay = absl::Hours(1), .clock = &clock_});
    queued = Submit(batcher, a_);
    clock_.AwaitWaiters(1);
  }
  EXPECT_EQ(queued.get().status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace vit
