// The small parts that the run manager is made of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "core/runs/events/event_dispatcher.h"
#include "core/runs/events/subscriptions.h"
#include "core/runs/progress_meter.h"
#include "core/runs/run_record.h"
#include "proto/time.h"
#include "tests/core/runs/testing.h"

namespace vit {
namespace {

using ::testing::DoubleNear;

TEST(EventDispatcherTest, EventsRunInOrderAndAllBeforeDestruction) {
  std::vector<int> seen;
  {
    EventDispatcher dispatcher;
    for (int i = 0; i < 1000; ++i) dispatcher.Post([&seen, i] { seen.push_back(i); });
    dispatcher.Flush();
    EXPECT_EQ(seen.size(), 1000);
    for (int i = 1000; i < 2000; ++i) dispatcher.Post([&seen, i] { seen.push_back(i); });
  }
  ASSERT_EQ(seen.size(), 2000);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(EventDispatcherTest, EventMayPostAnother) {
  EventDispatcher dispatcher;
  std::atomic<bool> done = false;
  dispatcher.Post([&] { dispatcher.Post([&] { done = true; }); });
  dispatcher.Flush();
  dispatcher.Flush();
  EXPECT_TRUE(done);
}

TEST(SubscriptionsTest, ChangesDuringACallAreToldOnceMore) {
  EventDispatcher dispatcher;
  Subscriptions subscriptions(&dispatcher);
  int calls = 0;  // of the dispatcher's thread, read after Flush
  const auto handle = subscriptions.Add("a", [&] {
    if (++calls == 1) {
      subscriptions.NotifyChanged("a");
      subscriptions.NotifyChanged("a");
    }
  });
  subscriptions.NotifyChanged("b");
  subscriptions.NotifyChanged("a");
  dispatcher.Flush();
  dispatcher.Flush();
  EXPECT_EQ(calls, 2);
}

TEST(SubscriptionsTest, DroppingAHandleWaitsForTheCallInProgress) {
  EventDispatcher dispatcher;
  Subscriptions subscriptions(&dispatcher);
  Mutex mu;
  CondVar changed;
  bool inside = false, leave = false;
  std::atomic<bool> left = false, dropped = false;
  auto handle = subscriptions.Add("a", [&] {
    MutexLock lock(&mu);
    inside = true;
    changed.NotifyAll();
    while (!leave) changed.Wait(&mu);
    EXPECT_FALSE(dropped);
    left = true;
  });
  subscriptions.NotifyChanged("a");
  {
    MutexLock lock(&mu);
    while (!inside) changed.Wait(&mu);
  }
  std::thread dropper([&] {
    handle.reset();
    dropped = true;
    EXPECT_TRUE(left);
  });
  {
    MutexLock lock(&mu);
    leave = true;
    changed.NotifyAll();
  }
  dropper.join();
}

TEST(SubscriptionsTest, HandleMayBeDroppedFromItsOwnCallAndOutliveTheRegistry) {
  std::shared_ptr<void> handle, other;
  {
    EventDispatcher dispatcher;
    Subscriptions subscriptions(&dispatcher);
    int calls = 0;
    handle = subscriptions.Add("a", [&] {
      ++calls;
      handle.reset();
    });
    other = subscriptions.Add("a", [] {});
    subscriptions.NotifyChanged("a");
    dispatcher.Flush();
    subscriptions.NotifyChanged("a");
    dispatcher.Flush();
    EXPECT_EQ(calls, 1);
  }
  other.reset();
}

TEST(ProgressMeterTest, SpeedIsOfTrainingAndTimeLeftIncludesEvaluation) {
  ProgressMeter meter;
  absl::Time now = absl::UnixEpoch();
  meter.OnStep(now, 10);
  EXPECT_EQ(meter.images_per_second(), 0);
  EXPECT_FALSE(meter.TimeLeft(10).has_value());
  for (int i = 0; i < 50; ++i) meter.OnStep(now += absl::Milliseconds(100), 10);
  EXPECT_THAT(meter.images_per_second(), DoubleNear(100, 1e-6));
  EXPECT_THAT(absl::ToDoubleSeconds(*meter.TimeLeft(20)), DoubleNear(2, 1e-6));
  // An evaluation of five seconds doubles the time so far, but is not training.
  meter.OnPause();
  meter.OnStep(now += absl::Milliseconds(5100), 10);
  EXPECT_THAT(meter.images_per_second(), DoubleNear(100, 1e-6));
  EXPECT_THAT(absl::ToDoubleSeconds(*meter.TimeLeft(51)), DoubleNear(10.1, 1e-3));
}

TEST(ProgressMeterTest, SpeedFollowsChanges) {
  ProgressMeter meter;
  absl::Time now = absl::UnixEpoch();
  for (int i = 0; i < 100; ++i) meter.OnStep(now += absl::Seconds(1), 10);
  for (int i = 0; i < 100; ++i) meter.OnStep(now += absl::Seconds(2), 10);
  EXPECT_THAT(meter.images_per_second(), DoubleNear(5, 1e-3));
}

TEST(RunRecordTest, IdsAreSortableUniqueAndSafeInPaths) {
  const absl::Time time = absl::FromUnixSeconds(1'795'232'412);  // 2026-11-21 03:40:12
  std::set<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.insert(MakeRunId(time));
  EXPECT_GE(ids.size(), 15);
  for (const std::string& id : ids) {
    EXPECT_TRUE(IsRunId(id)) << id;
    EXPECT_EQ(id.substr(0, 16), "20261121-034012-");
    EXPECT_LT(id, MakeRunId(time + absl::Seconds(1)));
  }
  for (const char* other :
       {"", "20261121-034012-kfz", "20261121-034012-KFZQ", "../../../../../../..",
        "20261121-034012-kfzq.removed", "2026112x-034012-kfzq"}) {
    EXPECT_FALSE(IsRunId(other)) << other;
  }
}

TEST(RunRecordTest, NewestOfTheBestCheckpointsIsTheBest) {
  RunRecord record;
  AddCheckpoint(Checkpoint(10, /*best=*/true), &record);
  AddCheckpoint(Checkpoint(20), &record);
  EXPECT_EQ(ServableStep(record), 10);
  AddCheckpoint(Checkpoint(30, /*best=*/true), &record);
  AddCheckpoint(Checkpoint(40), &record);
  EXPECT_EQ(ServableStep(record), 30);
  EXPECT_FALSE(record.checkpoints[0].best());
  EXPECT_EQ(record.run.last_checkpoint().step(), 40);
  SetCheckpoints({}, &record);
  EXPECT_EQ(ServableStep(record), -1);
  EXPECT_FALSE(record.run.has_last_checkpoint());
}

TEST(RunRecordTest, TimesKeepTheirNanoseconds) {
  for (const int64_t nanos :
       {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1'795'232'412'123'456'789}}) {
    const absl::Time time = absl::FromUnixNanos(nanos);
    EXPECT_EQ(FromProto(ToProto(time)), time);
    EXPECT_GE(ToProto(time).nanos(), 0);
  }
}

}  // namespace
}  // namespace vit
