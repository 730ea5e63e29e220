// The metric families, fed by hand with events of runs and models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "server/metrics/inference_metrics.h"
#include "server/metrics/process_metrics.h"
#include "server/metrics/training_metrics.h"

namespace vit {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const prometheus::Collectable& collectable) {
  return prometheus::TextSerializer().Serialize(collectable.Collect());
}

vit::v1::Run MakeRun(const std::string& id, vit::v1::RunState state, int64_t start_seconds) {
  vit::v1::Run run;
  run.set_id(id);
  run.set_state(state);
  if (start_seconds > 0) run.mutable_start_time()->set_seconds(start_seconds);
  return run;
}

vit::v1::MetricPoint MakePoint(vit::v1::Split split, int64_t step, double loss) {
  vit::v1::MetricPoint point;
  point.set_split(split);
  point.set_step(step);
  point.set_loss(loss);
  point.set_accuracy(0.25);
  point.set_learning_rate(0.001);
  point.set_grad_norm(3);
  return point;
}

TEST(TrainingMetricsTest, ShowsWhatTheRunShows) {
  prometheus::Registry registry;
  TrainingMetrics metrics(&registry);
  vit::v1::Run run = MakeRun("a", vit::v1::RUN_STATE_RUNNING, 100);
  run.set_step(50);
  run.set_total_steps(200);
  run.set_epoch(1.5);
  *run.mutable_last_train() = MakePoint(vit::v1::SPLIT_TRAIN, 50, 0.1 + 0.2);
  metrics.OnMetrics(run, run.last_train());
  *run.mutable_last_validation() = MakePoint(vit::v1::SPLIT_VALIDATION, 50, 2.5);
  run.mutable_last_validation()->mutable_evaluation()->set_top_k_accuracy(0.75);
  run.mutable_last_validation()->mutable_evaluation()->set_recall(0.5);
  run.mutable_last_validation()->mutable_evaluation()->set_f1(0.375);
  run.mutable_last_validation()->mutable_evaluation()->set_calibration_error(0.125);
  metrics.OnMetrics(run, run.last_validation());
  TrainObserver::Step step;
  step.samples = 64;
  step.compute = absl::Milliseconds(3);
  metrics.OnStep("a", step);
  metrics.OnStep("a", step);
  metrics.OnBadImage("a", "x.jpg", absl::InvalidArgumentError("truncated"));
  vit::v1::CheckpointInfo checkpoint;
  checkpoint.mutable_time()->set_seconds(1234);
  metrics.OnCheckpoint("a", checkpoint, absl::Milliseconds(40));
  const std::string text = Text(registry);
  EXPECT_THAT(text, HasSubstr("vitd_training_loss{run=\"a\",split=\"train\"} 0.3"));
  EXPECT_THAT(text, HasSubstr("vitd_training_loss{run=\"a\",split=\"validation\"} 2.5\n"));
  EXPECT_THAT(text,
              HasSubstr("vitd_training_accuracy_ratio{run=\"a\",split=\"validation\"} 0.25\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_top_k_accuracy_ratio{run=\"a\"} 0.75\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_recall_ratio{run=\"a\"} 0.5\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_f1_ratio{run=\"a\"} 0.375\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_calibration_error_ratio{run=\"a\"} 0.125\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_learning_rate{run=\"a\"} 0.001\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_epoch{run=\"a\"} 1.5\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_progress_ratio{run=\"a\"} 0.25\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_grad_norm{run=\"a\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_steps_total{run=\"a\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_samples_total{run=\"a\"} 128\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_bad_images_total{run=\"a\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_step_seconds_count{phase=\"compute\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("vitd_training_step_seconds_count{phase=\"checkpoint\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("vitd_checkpoint_write_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("vitd_checkpoint_last_success_timestamp_seconds{run=\"a\"} 1234\n"));
  EXPECT_THAT(text, HasSubstr("vitd_runs{state=\"running\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vitd_runs{state=\"queued\"} 0\n"));
}

TEST(TrainingMetricsTest, RunThatMovesOnIsCountedOnce) {
  prometheus::Registry registry;
  TrainingMetrics metrics(&registry);
  metrics.OnRunChanged(MakeRun("a", vit::v1::RUN_STATE_QUEUED, 0));
  EXPECT_THAT(Text(registry), HasSubstr("vitd_runs{state=\"queued\"} 1\n"));
  metrics.OnRunChanged(MakeRun("a", vit::v1::RUN_STATE_RUNNING, 5));
  metrics.OnRunChanged(MakeRun("a", vit::v1::RUN_STATE_SUCCEEDED, 5));
  const std::string text = Text(registry);
  EXPECT_THAT(text, HasSubstr("vitd_runs{state=\"queued\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("vitd_runs{state=\"running\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("vitd_runs{state=\"succeeded\"} 1\n"));
}

TEST(TrainingMetricsTest, DeletedRunLosesItsSeries) {
  prometheus::Registry registry;
  TrainingMetrics metrics(&registry);
  vit::v1::Run run = MakeRun("a", vit::v1::RUN_STATE_STOPPED, 5);
  *run.mutable_last_train() = MakePoint(vit::v1::SPLIT_TRAIN, 5, 1);
  metrics.OnRunChanged(run);
  ASSERT_THAT(Text(registry), HasSubstr("run=\"a\""));
  metrics.OnRunDeleted("a");
  EXPECT_THAT(Text(registry), Not(HasSubstr("run=\"a\"")));
  EXPECT_THAT(Text(registry), HasSubstr("vitd_runs{state=\"stopped\"} 0\n"));
  metrics.OnStep("a", {});  // a late event of it creates no series
  EXPECT_THAT(Text(registry), Not(HasSubstr("run=\"a\"")));
}

TEST(TrainingMetricsTest, OnlyTheLatestRunsAndTheRunningOneHaveSeries) {
  prometheus::Registry registry;
  TrainingMetrics metrics(&registry, 20);
  metrics.OnRunChanged(MakeRun("old_but_running", vit::v1::RUN_STATE_RUNNING, 1));
  for (int i = 10; i < 40; ++i) {
    metrics.OnRunChanged(MakeRun(absl::StrCat("run", i), vit::v1::RUN_STATE_SUCCEEDED, i));
  }
  metrics.OnRunChanged(MakeRun("waiting", vit::v1::RUN_STATE_QUEUED, 0));
  const std::string text = Text(registry);
  int with_series = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.substr(0, 20) == "vitd_training_epoch{") ++with_series;
  }
  EXPECT_EQ(with_series, 20);
  EXPECT_THAT(text, HasSubstr("run=\"old_but_running\""));
  EXPECT_THAT(text, HasSubstr("run=\"run39\""));
  EXPECT_THAT(text, HasSubstr("run=\"run21\""));
  EXPECT_THAT(text, Not(HasSubstr("run=\"run20\"")));
  EXPECT_THAT(text, Not(HasSubstr("run=\"waiting\"")));
  EXPECT_THAT(text, HasSubstr("vitd_runs{state=\"succeeded\"} 30\n"));
}

TEST(InferenceMetricsTest, CountsByModelVersionAndCode) {
  prometheus::Registry registry;
  InferenceMetrics metrics(&registry);
  metrics.OnModelLoaded("run:a", 100);
  metrics.OnQueueDepth("run:a", 3);
  metrics.OnDecoded("run:a", 100, absl::Milliseconds(1));
  metrics.OnQueued("run:a", 100, absl::Milliseconds(1));
  metrics.OnBatch("run:a", 100, 4, absl::Milliseconds(2));
  metrics.OnEvicted("run:a", 100, Eviction::kDeadline);
  metrics.OnEvicted("run:a", 100, Eviction::kCancelled);
  metrics.OnImageDone("run:a", 100, absl::StatusCode::kOk, absl::Milliseconds(5));
  metrics.OnImageDone("run:a", 100, absl::StatusCode::kInvalidArgument, absl::Milliseconds(5));
  const std::string text = Text(registry);
  EXPECT_THAT(text, HasSubstr("model=\"run:a\""));
  EXPECT_THAT(text, HasSubstr("vitd_inference_queue_depth{model=\"run:a\"} 3\n"));
  EXPECT_THAT(text,
              HasSubstr("vitd_inference_batch_size_sum{model=\"run:a\",version=\"100\"} 4\n"));
  EXPECT_THAT(text,
              HasSubstr("vitd_inference_queue_seconds_count{model=\"run:a\",version=\"100\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("vitd_inference_compute_seconds_count{model=\"run:a\",version=\"100\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("vitd_inference_request_seconds_count{model=\"run:a\",version=\"100\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("decode_seconds_count{model=\"run:a\",version=\"100\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("vitd_inference_evictions_total"));
  EXPECT_THAT(text, HasSubstr("reason=\"deadline\""));
  EXPECT_THAT(text, HasSubstr("reason=\"cancelled\""));
  EXPECT_THAT(text, HasSubstr("code=\"OK\""));
  EXPECT_THAT(text, HasSubstr("code=\"INVALID_ARGUMENT\""));
}

TEST(InferenceMetricsTest, ClientsCannotMakeSeries) {
  prometheus::Registry registry;
  InferenceMetrics metrics(&registry);
  for (int i = 0; i < 100; ++i) {
    metrics.OnImageDone(absl::StrCat("run:guess", i), 0, absl::StatusCode::kNotFound,
                        absl::ZeroDuration());
  }
  const std::string text = Text(registry);
  EXPECT_THAT(text, Not(HasSubstr("guess")));
  EXPECT_THAT(text, HasSubstr("model=\"unknown\""));
  EXPECT_THAT(text, HasSubstr("} 100\n"));
}

TEST(InferenceMetricsTest, UnloadedModelLosesItsSeries) {
  prometheus::Registry registry;
  InferenceMetrics metrics(&registry);
  metrics.OnModelLoaded("run:a", 100);
  metrics.OnImageDone("run:a", 100, absl::StatusCode::kOk, absl::Milliseconds(5));
  metrics.OnModelUnloaded("run:a", 100);
  EXPECT_THAT(Text(registry), Not(HasSubstr("run:a")));
}

TEST(InferenceMetricsTest, ManyCheckpointChangesLeaveFewSeries) {
  prometheus::Registry registry;
  InferenceMetrics metrics(&registry, 3);
  metrics.OnModelLoaded("run:a", 0);
  for (int version = 1; version <= 50; ++version) {
    metrics.OnModelLoaded("run:a", version);
    metrics.OnModelUnloaded("run:a", version - 1);
    metrics.OnImageDone("run:a", version, absl::StatusCode::kOk, absl::Milliseconds(5));
  }
  const std::string text = Text(registry);
  EXPECT_THAT(text, HasSubstr("version=\"50\""));
  EXPECT_THAT(text, HasSubstr("version=\"47\""));  // the last scrape may not have seen its end yet
  EXPECT_THAT(text, Not(HasSubstr("version=\"46\"")));
  EXPECT_THAT(text, Not(HasSubstr("vitd_model_loaded{model=\"run:a\",version=\"49\"}")));
}

TEST(ProcessMetricsTest, ReadsTheProcess) {
  const std::string text = Text(ProcessMetrics(Device::Cpu()));
  for (const char* name : {"process_cpu_seconds_total ", "process_open_fds ", "process_max_fds ",
                           "process_virtual_memory_bytes ", "process_resident_memory_bytes ",
                           "process_start_time_seconds ", "process_threads "}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", name)));
  }
  EXPECT_THAT(text, HasSubstr("vitd_device_memory_bytes{device=\"cpu\",kind=\"used\"}"));
  EXPECT_THAT(text, HasSubstr("vitd_build_info{version="));
}

TEST(ProcessMetricsTest, StartTimeIsBetweenBootAndNow) {
  for (const auto& family : ProcessMetrics(Device::Cpu()).Collect()) {
    if (family.name != "process_start_time_seconds") continue;
    const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
    EXPECT_LE(family.metric[0].gauge.value, now + 2);
    EXPECT_GE(family.metric[0].gauge.value, now - 3600);
    return;
  }
  FAIL() << "no process_start_time_seconds";
}

}  // namespace
}  // namespace vit
