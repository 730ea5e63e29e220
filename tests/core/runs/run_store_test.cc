#include "core/runs/store/run_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/runs/store/sqlite.h"
#include "tests/core/runs/testing.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using vit::v1::MetricPoint;
using vit::v1::SPLIT_TRAIN;
using vit::v1::SPLIT_UNSPECIFIED;
using vit::v1::SPLIT_VALIDATION;

class RunStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<RunStore> Open() {
    absl::StatusOr<std::unique_ptr<RunStore>> store = RunStore::Open(folder_.path() / "runs.db");
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  static RunRecord Record(const std::string& id) {
    RunRecord record;
    record.run.set_id(id);
    record.run.set_name("name of " + id);
    record.run.set_state(vit::v1::RUN_STATE_QUEUED);
    record.run.set_message("message");
    record.run.set_preset("preset");
    record.run.set_data_source("shapes:");
    record.run.mutable_create_time()->set_seconds(1'700'000'000);
    record.run.mutable_create_time()->set_nanos(123'456'789);
    record.run.set_step(3);
    record.run.set_total_steps(100);
    record.run.set_total_epochs(2.5);
    record.run.set_bad_images(4);
    record.run.set_bad_validation_images(2);
    record.run.add_first_bad_images("a.jpg: truncated");
    record.run.add_first_bad_images("b.jpg: empty");
    record.run.add_data_notes("validation: valid/");
    record.run.set_parameter_count(1'000'000'000'000);
    record.run.set_class_count(10);
    record.spec.set_seed(std::numeric_limits<uint64_t>::max());
    record.spec.set_label_smoothing(0.1);
    record.spec.mutable_data()->set_listing_version(2);
    record.request_id = "request of " + id;
    record.data_fingerprint = "0123456789abcdef";
    record.queue_order = -3;
    record.restarts = 2;
    record.restart_step = 7;
    record.steps_per_epoch = 40;
    record.estimated_memory = {.host_bytes = 1LL << 40, .device_bytes = 1LL << 41};
    record.run.set_train_size(50'000);
    record.run.set_validation_size(10'000);
    return record;
  }
  static std::vector<std::pair<int64_t, int>> Steps(
      const absl::StatusOr<std::vector<MetricPoint>>& points) {
    EXPECT_TRUE(points.ok()) << points.status();
    std::vector<std::pair<int64_t, int>> steps;
    for (const MetricPoint& point : *points) steps.emplace_back(point.step(), point.split());
    return steps;
  }
  StateFolder folder_;
};

TEST_F(RunStoreTest, EverythingOfARunSurvivesAReopening) {
  RunRecord record = Record("a");
  *record.run.mutable_start_time() = record.run.create_time();
  record.start_order = 7;
  SetCheckpoints({Checkpoint(10, true), Checkpoint(20)}, &record);
  {
    auto store = Open();
    ASSERT_TRUE(store->InsertRun(&record).ok());
    EXPECT_EQ(record.sequence, 1);
    vit::v1::TrainingSpec longer = record.spec;
    longer.set_max_steps(200);
    ChangeSpecFrom(20, longer, &record);
    ASSERT_TRUE(store->UpdateRuns({&record, 1}).ok());
    ASSERT_TRUE(store->AppendHistory({{"a", Point(5, SPLIT_TRAIN, 0.5)}}).ok());
  }
  *record.run.mutable_last_train() = Point(5, SPLIT_TRAIN, 0.5);
  auto store = Open();
  const auto loaded = store->LoadRuns();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->size(), 1);
  const RunRecord& back = (*loaded)[0];
  EXPECT_EQ(back.run.DebugString(), record.run.DebugString());
  EXPECT_EQ(back.spec.DebugString(), record.spec.DebugString());
  EXPECT_EQ(back.request_id, record.request_id);
  EXPECT_EQ(back.data_fingerprint, record.data_fingerprint);
  EXPECT_EQ(back.sequence, record.sequence);
  EXPECT_EQ(back.queue_order, record.queue_order);
  EXPECT_EQ(back.start_order, record.start_order);
  EXPECT_EQ(back.restarts, record.restarts);
  EXPECT_EQ(back.restart_step, record.restart_step);
  EXPECT_EQ(back.steps_per_epoch, record.steps_per_epoch);
  EXPECT_EQ(back.estimated_memory.host_bytes, record.estimated_memory.host_bytes);
  EXPECT_EQ(back.estimated_memory.device_bytes, record.estimated_memory.device_bytes);
  ASSERT_EQ(back.specs.size(), 2);
  EXPECT_EQ(back.specs[1].DebugString(), record.specs[1].DebugString());
  EXPECT_EQ(back.checkpoints.size(), 2);
}

TEST_F(RunStoreTest, ASpecFromBeforeListingVersionsFollowsTheFirst) {
  auto store = Open();
  RunRecord old = Record("a");
  old.spec.mutable_data()->clear_listing_version();
  ASSERT_TRUE(store->InsertRun(&old).ok());
  EXPECT_EQ((*store->LoadRuns())[0].spec.data().listing_version(), 1);
}

TEST_F(RunStoreTest, UpdatesAreAllOrNone) {
  auto store = Open();
  RunRecord a = Record("a"), b = Record("b");
  ASSERT_TRUE(store->InsertRun(&a).ok());
  ASSERT_TRUE(store->InsertRun(&b).ok());
  a.run.set_step(50);
  b.request_id = a.request_id;  // must be unique
  EXPECT_FALSE(store->UpdateRuns({a, b}).ok());
  EXPECT_EQ((*store->LoadRuns())[0].run.step(), 3);
}

TEST_F(RunStoreTest, DeletedRunTakesItsHistoryAndCheckpointsAlong) {
  auto store = Open();
  RunRecord record = Record("a");
  SetCheckpoints({Checkpoint(10)}, &record);
  ASSERT_TRUE(store->InsertRun(&record).ok());
  ASSERT_TRUE(store
                  ->AppendHistory({{"a", Point(0, SPLIT_TRAIN, 1)},
                                   {"a", Point(5, SPLIT_VALIDATION, 1)},
                                   {"b", Point(5, SPLIT_TRAIN, 1)}})
                  .ok());
  ASSERT_TRUE(store->DeleteRun("a").ok());
  EXPECT_TRUE(store->LoadRuns()->empty());
  EXPECT_TRUE(store->History("a", SPLIT_UNSPECIFIED, -1, 0)->empty());
  EXPECT_EQ(store->History("b", SPLIT_UNSPECIFIED, -1, 0)->size(), 1);
  // Nothing of it comes back with a run of the same id.
  record.checkpoints.clear();
  ASSERT_TRUE(store->InsertRun(&record).ok());
  EXPECT_TRUE((*store->LoadRuns())[0].checkpoints.empty());
  EXPECT_EQ(record.sequence, 2) << "sequence numbers are not used twice";
}

TEST_F(RunStoreTest, HistoryBeyondAStepIsDropped) {
  auto store = Open();
  for (int64_t step = 1; step <= 5; ++step) {
    ASSERT_TRUE(store
                    ->AppendHistory({{"a", Point(step, SPLIT_TRAIN, 1)},
                                     {"a", Point(step, SPLIT_VALIDATION, 1)}})
                    .ok());
  }
  ASSERT_TRUE(store->DropHistoryAfter("a", 3).ok());
  EXPECT_THAT(Steps(store->History("a", SPLIT_UNSPECIFIED, 1, 0)),
              ElementsAre(std::pair(2, 1), std::pair(2, 2), std::pair(3, 1), std::pair(3, 2)));
  vit::v1::Run run;
  run.set_id("a");
  ASSERT_TRUE(store->LoadLastPoints(&run).ok());
  EXPECT_EQ(run.last_train().step(), 3);
  EXPECT_EQ(run.last_validation().step(), 3);
}

TEST_F(RunStoreTest, PointsKeepEveryBit) {
  auto store = Open();
  MetricPoint point = Point(7, SPLIT_TRAIN, 0.1 + 0.2);
  point.set_accuracy(1.0 / 3);
  point.set_grad_norm(std::numeric_limits<double>::infinity());
  point.set_images_per_second(5e-324);
  point.mutable_time()->set_nanos(999'999'999);
  ASSERT_TRUE(store->AppendHistory({{"a", point}}).ok());
  EXPECT_EQ(store->History("a", SPLIT_TRAIN, 0, 0)->at(0).SerializeAsString(),
            point.SerializeAsString());
  MetricPoint evaluated = Point(7, SPLIT_VALIDATION, 0.5);
  double value = 0.01;
  const auto* fields = v1::EvaluationMetrics::descriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    if (fields->field(i)->name() == "top_k") continue;  // the only one that is not a ratio
    evaluated.mutable_evaluation()->GetReflection()->SetDouble(evaluated.mutable_evaluation(),
                                                               fields->field(i), value += 0.1);
  }
  evaluated.mutable_evaluation()->set_top_k(3);
  ASSERT_TRUE(store->AppendHistory({{"a", evaluated}}).ok());
  EXPECT_EQ(store->History("a", SPLIT_VALIDATION, 0, 0)->at(0).SerializeAsString(),
            evaluated.SerializeAsString());
  point.set_loss(std::numeric_limits<double>::quiet_NaN());
  ASSERT_TRUE(store->AppendHistory({{"a", point}}).ok());
  ASSERT_TRUE(store->SyncHistory().ok());
  EXPECT_TRUE(std::isnan(store->History("a", SPLIT_TRAIN, 0, 0)->at(0).loss()));
}

TEST_F(RunStoreTest, ThinningKeepsEndsAndGivesValidationItsShare) {
  auto store = Open();
  std::vector<RunStore::HistoryEntry> entries;
  for (int64_t step = 1; step <= 1000; ++step) {
    entries.push_back({"a", Point(step, SPLIT_TRAIN, 1)});
    if (step % 100 == 0) entries.push_back({"a", Point(step, SPLIT_VALIDATION, 1)});
  }
  ASSERT_TRUE(store->AppendHistory(entries).ok());
  EXPECT_THAT(
      Steps(store->History("a", SPLIT_TRAIN, 0, 4)),
      ElementsAre(std::pair(1, 1), std::pair(334, 1), std::pair(667, 1), std::pair(1000, 1)));
  EXPECT_THAT(Steps(store->History("a", SPLIT_TRAIN, 0, 1)), ElementsAre(std::pair(1000, 1)));
  const auto both = Steps(store->History("a", SPLIT_UNSPECIFIED, 0, 30));
  ASSERT_EQ(both.size(), 30);
  EXPECT_EQ(std::count_if(both.begin(), both.end(), [](auto p) { return p.second == 2; }), 10);
  EXPECT_EQ(both.front(), std::pair(int64_t{1}, 1));
  EXPECT_EQ(both.back(), std::pair(int64_t{1000}, 2));
  EXPECT_TRUE(std::is_sorted(both.begin(), both.end()));
}

TEST_F(RunStoreTest, ErrorsNameThePurposeAndTheFile) {
  auto store = Open();
  RunRecord record = Record("a");
  ASSERT_TRUE(store->InsertRun(&record).ok());
  const absl::Status twice = store->InsertRun(&record);
  EXPECT_FALSE(twice.ok());
  EXPECT_THAT(std::string(twice.message()), HasSubstr("store a run"));
  EXPECT_THAT(std::string(twice.message()), HasSubstr("runs.db"));
}

TEST_F(RunStoreTest, FullDiskIsResourceExhausted) {
  absl::StatusOr<SqliteDatabase> db = SqliteDatabase::Open((folder_.path() / "small.db").string());
  ASSERT_TRUE(db.ok());
  // SQLite reports its own limit as it does a full disk.
  ASSERT_TRUE(db->Execute("CREATE TABLE t (x TEXT); PRAGMA max_page_count = 4", "prepare").ok());
  auto insert = db->Prepare("INSERT INTO t VALUES (?)", "fill the table");
  ASSERT_TRUE(insert.ok());
  const absl::Status full = insert->Run(std::string(100'000, 'x'));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("fill the table"));
  EXPECT_TRUE(insert->Run("short").ok()) << "the statement can be used again";
}

}  // namespace
}  // namespace vit
