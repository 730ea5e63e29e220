#include "core/infer/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

struct TestTask {
  std::string kind;
  std::string of;  // the model
  int id = 0;
  TaskPriority priority = TaskPriority::kNormal;
  absl::Time deadline = absl::InfiniteFuture();
  std::stop_token cancelled;

  const std::string& model() const { return of; }
};

class BatcherTest : public ::testing::Test {
 protected:
  struct Computed {
    std::string kind;
    std::vector<int> ids;
    int threads;
  };

  using TestBatcher = Batcher<TestTask>;

  void Start(int max_batch_size, absl::Duration max_queue_delay = absl::ZeroDuration(),
             int threads = 1) {
    auto batcher = TestBatcher::Create({
        .max_batch_size = max_batch_size,
        .max_queue_delay = max_queue_delay,
        .threads = threads,
        .compute = [this](const auto& batch,
                          ComputeTeam* team) { return Compute(batch, team->size()); },
        .evict =
            [this](const TestTask& task, Eviction why) {
              MutexLock lock(&mu_);
              evicted_.emplace_back(task.id, why);
              changed_.NotifyAll();
            },
        .on_depth =
            [this](const std::string& model, int depth) {
              MutexLock lock(&mu_);
              depths_[model] = depth;
            },
        .clock = &clock_,
    });
    ASSERT_EQ(batcher.status(), absl::OkStatus());
    batcher_ = *std::move(batcher);
  }

  // A batch whose kind is "hold" is computed until Release.
  std::function<void()> Compute(const std::vector<TestTask>& batch, int threads) {
    std::vector<int> ids;
    for (const TestTask& task : batch) ids.push_back(task.id);
    on_compute_(batch.front().kind);
    if (batch.front().kind.starts_with("hold")) {
      {
        MutexLock lock(&mu_);
        ++holding_;
        changed_.NotifyAll();
        while (!released_) changed_.Wait(&mu_);
      }
      clock_.Advance(absl::Seconds(1));
    }
    MutexLock lock(&mu_);
    computed_.push_back({batch.front().kind, std::move(ids), threads});
    changed_.NotifyAll();
    return [this, count = batch.size()] {
      MutexLock lock(&mu_);
      answered_ += static_cast<int>(count);
      changed_.NotifyAll();
    };
  }

  // Occupies all threads, so that what follows queues.
  void Hold(const std::string& kind = "hold", const std::string& model = "hold") {
    batcher_->Submit({.kind = kind, .of = model, .id = -1});
    MutexLock lock(&mu_);
    while (holding_ == 0) changed_.Wait(&mu_);
  }
  void Release() {
    MutexLock lock(&mu_);
    released_ = true;
    changed_.NotifyAll();
  }
  // Waits until as many tasks were answered, and returns the ids in each batch, without the held.
  std::vector<std::vector<int>> Answers(int count) {
    MutexLock lock(&mu_);
    while (answered_ < count) changed_.Wait(&mu_);
    std::vector<std::vector<int>> batches;
    for (const Computed& computed : computed_) {
      if (!computed.kind.starts_with("hold")) batches.push_back(computed.ids);
    }
    return batches;
  }
  std::vector<std::pair<int, Eviction>> Evicted(size_t count) {
    MutexLock lock(&mu_);
    while (evicted_.size() < count) changed_.Wait(&mu_);
    return evicted_;
  }
  int Depth(const std::string& model) {
    MutexLock lock(&mu_);
    return depths_[model];
  }
  void Submit(const std::string& kind, const std::string& model, std::initializer_list<int> ids,
              TaskPriority priority = TaskPriority::kNormal) {
    for (const int id : ids) {
      batcher_->Submit({.kind = kind, .of = model, .id = id, .priority = priority});
    }
  }

  FakeClock clock_;
  // Set before anything is submitted.
  std::function<void(const std::string& kind)> on_compute_ = [](const std::string&) {};
  Mutex mu_;
  CondVar changed_;
  int holding_ VIT_GUARDED_BY(mu_) = 0;
  bool released_ VIT_GUARDED_BY(mu_) = false;
  int answered_ VIT_GUARDED_BY(mu_) = 0;
  std::vector<Computed> computed_ VIT_GUARDED_BY(mu_);
  std::vector<std::pair<int, Eviction>> evicted_ VIT_GUARDED_BY(mu_);
  std::map<std::string, int> depths_ VIT_GUARDED_BY(mu_);
  std::unique_ptr<TestBatcher> batcher_;  // last: it uses the above
};

TEST_F(BatcherTest, WhatQueuesBehindABatchIsComputedTogetherByKind) {
  Start(/*max_batch_size=*/3);
  Hold();
  Submit("a", "m", {1, 2, 3, 4});
  Submit("b", "m", {5});
  EXPECT_EQ(Depth("m"), 5);
  Release();
  EXPECT_THAT(Answers(6), ElementsAre(ElementsAre(1, 2, 3), ElementsAre(4), ElementsAre(5)));
  EXPECT_EQ(Depth("m"), 0);
}

TEST_F(BatcherTest, ABatchClosesWhenItsOldestHasWaitedLongEnough) {
  Start(8, absl::Milliseconds(5));
  Submit("a", "m", {1, 2});
  clock_.AwaitWaiters(1);
  EXPECT_EQ(Depth("m"), 2);
  clock_.Advance(absl::Milliseconds(5));
  EXPECT_THAT(Answers(2), ElementsAre(ElementsAre(1, 2)));
}

TEST_F(BatcherTest, AFullBatchDoesNotWait) {
  Start(2, absl::Hours(1));
  Submit("a", "m", {1, 2});
  EXPECT_THAT(Answers(2), ElementsAre(ElementsAre(1, 2)));
}

TEST_F(BatcherTest, AHigherPriorityGoesFirstAndIntoTheBatchFirst) {
  Start(2);
  Hold();
  Submit("a", "m", {1}, TaskPriority::kLow);
  Submit("a", "m", {2}, TaskPriority::kNormal);
  Submit("b", "n", {3}, TaskPriority::kNormal);
  Submit("a", "m", {4}, TaskPriority::kHigh);
  Release();
  EXPECT_THAT(Answers(5), ElementsAre(ElementsAre(4, 2), ElementsAre(3), ElementsAre(1)));
}

TEST_F(BatcherTest, AModelThatHasComputedLessGoesFirst) {
  Start(1);
  // Model m computes for a second, while n's tasks come after its own.
  Hold("hold m", "m");
  Submit("a", "m", {1, 2});
  Submit("b", "n", {3, 4});
  Release();
  EXPECT_THAT(Answers(5),
              ElementsAre(ElementsAre(3), ElementsAre(4), ElementsAre(1), ElementsAre(2)));
}

TEST_F(BatcherTest, AModelThatJoinsStartsWithTheLeastThatOthersHaveComputed) {
  Start(/*max_batch_size=*/1);
  on_compute_ = [this](const std::string& kind) {
    if (kind == "second") Submit("new", "new", {2});
  };
  Hold("hold", "old");
  batcher_->Submit({.kind = "second", .of = "old", .id = 0, .priority = TaskPriority::kHigh});
  Submit("third", "old", {3});
  Submit("none", "none yet", {1});
  Release();
  EXPECT_THAT(Answers(5),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2), ElementsAre(3)));
}

TEST_F(BatcherTest, WhatWaitsIsDividedAmongTheThreads) {
  Start(/*max_batch_size=*/8, absl::ZeroDuration(), /*threads=*/2);
  Hold();  // alone, with both threads
  Submit("hold a", "m", {1, 2, 3, 4, 5});
  Release();
  Answers(6);
  MutexLock lock(&mu_);
  ASSERT_GE(computed_.size(), 3u);
  EXPECT_EQ(computed_[0].threads, 2);
  std::vector<size_t> sizes;
  for (const Computed& computed : computed_) sizes.push_back(computed.ids.size());
  // Half of five, rounded up; then half of the other two, which may be done before or after.
  EXPECT_THAT(sizes, ::testing::Contains(3u));
  for (size_t i = 1; i < computed_.size(); ++i) {
    if (computed_[i].ids.size() > 1) {
      EXPECT_EQ(computed_[i].threads, 1);
    }
  }
}

TEST_F(BatcherTest, NoThreadIsLeftOver) {
  for (const int threads : {3, 7}) {
    SCOPED_TRACE(threads);
    Start(/*max_batch_size=*/8, absl::ZeroDuration(), threads);
    batcher_->Expect(100);  // as many batches as there may be
    const int batches = std::min(threads, 4);
    for (int i = 0; i < batches; ++i) Submit(absl::StrCat("hold ", i), "m", {i});
    {
      MutexLock lock(&mu_);
      while (holding_ < batches) changed_.Wait(&mu_);
    }
    Release();
    Answers(batches);
    batcher_ = nullptr;
    MutexLock lock(&mu_);
    int used = 0;
    for (const Computed& computed : computed_) used += computed.threads;
    EXPECT_EQ(used, threads);
    computed_.clear();
    holding_ = answered_ = 0;
    released_ = false;
  }
}

TEST_F(BatcherTest, TheRestOfADividedBatchDoesNotWaitForOthers) {
  Start(/*max_batch_size=*/4, absl::Hours(1), /*threads=*/2);
  Submit("a", "m", {1, 2, 3, 4});  // a full batch, at a time that stands still
  std::vector<int> ids;
  for (const std::vector<int>& batch : Answers(4))
    ids.insert(ids.end(), batch.begin(), batch.end());
  EXPECT_THAT(ids, UnorderedElementsAre(1, 2, 3, 4));
}

TEST_F(BatcherTest, AnAnnouncedTaskKeepsItsPartOfTheThreads) {
  Start(/*max_batch_size=*/8, absl::ZeroDuration(), /*threads=*/2);
  const auto threads_of = [&](const std::string& kind, int answered) {
    Submit(kind, "m", {1});
    Answers(answered);
    MutexLock lock(&mu_);
    return computed_.back().threads;
  };
  EXPECT_EQ(threads_of("a", 1), 2);
  batcher_->Expect(1);
  EXPECT_EQ(threads_of("b", 2), 1);
  batcher_->Expect(-1);
  EXPECT_EQ(threads_of("c", 3), 2);
}

TEST_F(BatcherTest, ClientsThatWereThereLatelyKeepTheirPartOfTheThreads) {
  Start(/*max_batch_size=*/8, absl::ZeroDuration(), /*threads=*/2);
  const auto threads_of_next = [&](int answered) {
    Submit("a", "m", {1});
    Answers(answered);
    MutexLock lock(&mu_);
    return computed_.back().threads;
  };
  EXPECT_EQ(threads_of_next(1), 2);
  batcher_->Expect(1);
  for (int i = 2; i < 10; ++i) threads_of_next(i);
  batcher_->Expect(-1);
  EXPECT_EQ(threads_of_next(10), 1);
  for (int i = 11; i < 20; ++i) threads_of_next(i);
  EXPECT_EQ(threads_of_next(20), 2);
}

TEST_F(BatcherTest, SmallBatchesOfSeveralKindsShareTheThreads) {
  Start(/*max_batch_size=*/8, absl::ZeroDuration(), /*threads=*/2);
  Hold();
  Submit("hold a", "m", {1});
  Submit("hold b", "n", {2});
  {
    MutexLock lock(&mu_);
    released_ = true;
    changed_.NotifyAll();
    while (answered_ < 3) changed_.Wait(&mu_);
    std::map<std::string, int> threads;
    for (const Computed& computed : computed_) threads[computed.kind] = computed.threads;
    // Alone, a batch has all; the first of two leaves a thread for the second.
    EXPECT_EQ(threads["hold"], 2);
    EXPECT_EQ(threads["hold a"], 1);
  }
}

TEST_F(BatcherTest, ExpiredAndCancelledTasksAreNeverComputed) {
  Start(8);
  std::stop_source caller, gone;
  gone.request_stop();
  Hold();
  batcher_->Submit({.kind = "a", .of = "m", .id = 1, .deadline = clock_.Now()});
  batcher_->Submit({.kind = "a", .of = "m", .id = 2, .cancelled = gone.get_token()});
  EXPECT_THAT(Evicted(2), ElementsAre(Pair(1, Eviction::kDeadline), Pair(2, Eviction::kCancelled)));
  batcher_->Submit(
      {.kind = "a", .of = "m", .id = 3, .deadline = clock_.Now() + absl::Milliseconds(1)});
  batcher_->Submit({.kind = "a", .of = "m", .id = 4, .cancelled = caller.get_token()});
  Submit("a", "m", {5});
  EXPECT_EQ(Depth("m"), 3);
  caller.request_stop();
  batcher_->EvictGivenUp();
  EXPECT_THAT(Evicted(3), ::testing::Contains(Pair(4, Eviction::kCancelled)));
  EXPECT_EQ(Depth("m"), 2);
  Release();  // the held batch takes a second
  EXPECT_THAT(Answers(2), ElementsAre(ElementsAre(5)));
  EXPECT_THAT(Evicted(4), ::testing::Contains(Pair(3, Eviction::kDeadline)));
}

TEST_F(BatcherTest, ATaskIsEvictedAtItsDeadlineWhileItsBatchWaitsForOthers) {
  Start(8, absl::Hours(1));
  batcher_->Submit(
      {.kind = "a", .of = "m", .id = 1, .deadline = clock_.Now() + absl::Milliseconds(5)});
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Milliseconds(5));
  EXPECT_THAT(Evicted(1), ElementsAre(Pair(1, Eviction::kDeadline)));
}

TEST_F(BatcherTest, AJobRunsOnEachThreadThatTakesBatches) {
  Start(1, absl::ZeroDuration(), /*threads=*/2);
  std::set<std::thread::id> threads;
  std::vector<int> sizes;
  batcher_->RunOnEach([&](ComputeTeam* team) {
    threads.insert(std::this_thread::get_id());
    sizes.push_back(team->size());
  });
  EXPECT_EQ(threads.size(), 2);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
  EXPECT_THAT(sizes, ElementsAre(2, 2));
}

TEST_F(BatcherTest, DestructionEvictsWhatIsQueued) {
  Start(8, absl::Hours(1));
  Submit("a", "m", {1, 2});
  batcher_.reset();
  EXPECT_THAT(Evicted(2),
              UnorderedElementsAre(Pair(1, Eviction::kShutdown), Pair(2, Eviction::kShutdown)));
  EXPECT_THAT(Answers(0), IsEmpty());
}

TEST_F(BatcherTest, OptionsOutOfRangeAreNamed) {
  const auto message = [](TestBatcher::Options options) {
    return std::string(TestBatcher::Create(std::move(options)).status().message());
  };
  EXPECT_EQ(message({.max_batch_size = 0}), "max_batch_size is 0; expected at least 1");
  EXPECT_EQ(message({.threads = 0}), "threads is 0; expected at least 1");
  EXPECT_EQ(message({.max_queue_delay = absl::Seconds(-1)}),
            "max_queue_delay is -1s; expected at least 0");
}

}  // namespace
}  // namespace vit
