#include "core/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/mutex.h"
#include "core/model/vision_transformer.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/checkpoint/checkpoint.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/initial_weights.h"
#include "core/train/plan_run.h"
#include "proto/set_field.h"
#include "proto/spec_text.h"
#include "tests/core/models/fake_models.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::vit::v1::MetricPoint;

// Dropout, drop path, random crop, accumulation and evaluation in mid-epoch, on a few small images.
constexpr char kSmallSpec[] = R"(
  model { image_size: 16 patch_size: 4 embed_dim: 24 depth: 2 num_heads: 2 proj_drop_rate: 0.1 attn_drop_rate: 0.1
          drop_path_rate: 0.2 }
  data { source: "shapes:" loader_threads: 2 train { crop: TRAIN_CROP_RANDOM padding: 2 }
         shapes { train_size: 80 val_size: 30 } }
  batch_size: 16 accumulation_steps: 2 max_steps: 12 seed: 5 log_every_steps: 2 compute_threads: 2
  evaluation { every_steps: 3 } checkpoint { every_steps: 4 keep_last: 2 } precision: PRECISION_FLOAT32
)";

// Records what the trainer reports, as a store would: a resume drops what is beyond its step.
class Recorder : public TrainObserver {
 public:
  void OnPhase(const std::string& phase, double) override {
    if (on_phase) on_phase(phase);
  }
  void OnStep(const Step& step) override {
    last_step = step.step;
    if (on_step) on_step(step.step);
  }
  void OnMetrics(const MetricPoint& point) override {
    MetricPoint timeless = point;
    timeless.clear_time();
    timeless.clear_images_per_second();
    history[{point.step(), point.split()}] = timeless.SerializeAsString();
    last = point;
  }
  absl::Status OnBeforeCheckpoint(int64_t step) override {
    return before_checkpoint ? before_checkpoint(step) : absl::OkStatus();
  }
  void OnCheckpoint(const vit::v1::CheckpointInfo& checkpoint, absl::Duration) override {
    checkpoints.push_back(checkpoint.step());
  }
  void OnCheckpointFailed(int64_t step, const absl::Status&) override {
    failed_checkpoints.push_back(step);
  }
  void OnBadImage(const BadImage& image) override {
    MutexLock lock(&mu);
    bad_images.push_back(image.name);
  }
  void OnStart(int64_t step, const std::string& text) override {
    starts.push_back(step);
    note = text;
    std::erase_if(history, [&](const auto& entry) { return entry.first.first > step; });
  }

  std::map<std::pair<int64_t, int>, std::string> history;
  std::vector<int64_t> starts, checkpoints, failed_checkpoints;
  std::vector<std::string> bad_images;
  std::string note;
  MetricPoint last;
  int64_t last_step = 0;
  std::function<void(const std::string&)> on_phase;
  std::function<void(int64_t)> on_step;
  std::function<absl::Status(int64_t)> before_checkpoint;
  Mutex mu;
};

class TrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
    ASSERT_TRUE(ParseMessageText(kSmallSpec, &spec_).ok());
  }
  void TearDown() override { fs::remove_all(directory_); }

  TrainerOptions Options(const std::string& run, TrainObserver* observer) {
    TrainerOptions options;
    options.environment.data_roots = {directory_.string()};
    options.environment.models = &models_;
    auto resolved = PlanRun("", spec_, options.environment);
    EXPECT_TRUE(resolved.ok()) << resolved.status();
    options.resolved = *std::move(resolved);
    options.directory = directory_ / run;
    options.observer = observer;
    EXPECT_TRUE(CreateDirectories(options.directory).ok());
    return options;
  }

  // Trains on its own thread, as the daemon does.
  static absl::StatusOr<TrainOutcome> RunTrain(const TrainerOptions& options,
                                               std::stop_token stop = {}) {
    absl::StatusOr<TrainOutcome> outcome = absl::UnknownError("did not run");
    ComputeBudget::StartThread("train", 2, [&] { outcome = Train(options, stop); }).join();
    return outcome;
  }
  absl::StatusOr<TrainOutcome> RunTrain(const std::string& run, TrainObserver* observer,
                                        std::stop_token stop = {}) {
    return RunTrain(Options(run, observer), stop);
  }

  std::string Contents(const std::string& run, int64_t step, const std::string& file) {
    const auto content = ReadFile(CheckpointPath(directory_ / run, step) / file, 1 << 30);
    EXPECT_TRUE(content.ok()) << content.status();
    return content.value_or("");
  }

  std::vector<int64_t> Steps(const std::string& run) {
    std::vector<int64_t> steps;
    for (const auto& info : ListCheckpoints(directory_ / run)) steps.push_back(info.step());
    return steps;
  }

  void ExpectSameEnd(const std::string& a, const Recorder& a_told, const std::string& b,
                     const Recorder& b_told) {
    EXPECT_EQ(Contents(a, 12, "model.safetensors"), Contents(b, 12, "model.safetensors"));
    EXPECT_EQ(Contents(a, 12, "optimizer.safetensors"), Contents(b, 12, "optimizer.safetensors"));
    EXPECT_EQ(a_told.history, b_told.history);
  }

  fs::path directory_;
  vit::v1::TrainingSpec spec_;
  FakeModels models_;
};

TEST_F(TrainerTest, FinishesWithHistoryAndCheckpoints) {
  Recorder told;
  const auto outcome = RunTrain("run", &told);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, TrainOutcome::kFinished);
  EXPECT_THAT(told.starts, ElementsAre(0));
  EXPECT_EQ(told.last_step, 12);
  // Points every 2 steps and at evaluations: every 3 steps and at the ends of epochs of 5 steps.
  std::vector<int64_t> train, validation;
  for (const auto& [key, point] : told.history) {
    (key.second == vit::v1::SPLIT_TRAIN ? train : validation).push_back(key.first);
  }
  EXPECT_THAT(validation, ElementsAre(3, 5, 6, 9, 10, 12));
  EXPECT_THAT(train, ElementsAre(2, 3, 4, 5, 6, 8, 9, 10, 12));
  EXPECT_THAT(told.checkpoints, ElementsAre(3, 4, 5, 6, 8, 9, 10, 12));
  // The newest two, and the best.
  const auto kept = ListCheckpoints(directory_ / "run");
  EXPECT_LE(kept.size(), 3);
  EXPECT_EQ(kept.back().step(), 12);
  EXPECT_EQ(std::count_if(kept.begin(), kept.end(), [](const auto& info) { return info.best(); }),
            1);
}

TEST_F(TrainerTest, AResumedRunEqualsAnUninterruptedOne) {
  Recorder whole;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  // Stopped after every step in turn, with another number of loader threads each time.
  for (int64_t stop_at = 1; stop_at < 12; ++stop_at) {
    const std::string run = absl::StrCat("stopped-", stop_at);
    Recorder told;
    std::stop_source stop;
    told.on_step = [&](int64_t step) {
      if (step == stop_at) stop.request_stop();
    };
    auto outcome = RunTrain(run, &told, stop.get_token());
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(*outcome, TrainOutcome::kStopped);
    EXPECT_EQ(Steps(run).back(), stop_at);
    told.on_step = nullptr;
    spec_.mutable_data()->set_loader_threads(1 + static_cast<int>(stop_at % 3));
    outcome = RunTrain(run, &told);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(*outcome, TrainOutcome::kFinished);
    EXPECT_THAT(told.starts, ElementsAre(0, stop_at));
    EXPECT_EQ(told.note, "");
    ExpectSameEnd("whole", whole, run, told);
  }
}

// Layer decay, groups and a frozen part under LAMB and Lion, stopped in mid-epoch.
TEST_F(TrainerTest, ParameterGroupsUnderLambAndLionAreResumedToo) {
  for (const char* type : {"lamb", "lion"}) {
    for (const std::string& assignment :
         {absl::StrCat("optimizer.type=", type), std::string("optimizer.layer_decay=0.7"),
          std::string("optimizer.frozen=patch_embed.*,*_token"),
          std::string("optimizer.groups={parameters: 'head.*' learning_rate_multiplier: 5}"),
          std::string("schedule.cycles=2"), std::string("schedule.cycle_decay=0.5")}) {
      ASSERT_TRUE(SetField(assignment, &spec_).ok()) << assignment;
    }
    const std::string whole = absl::StrCat(type, "-whole"), run = absl::StrCat(type, "-run");
    Recorder whole_told, told;
    ASSERT_TRUE(RunTrain(whole, &whole_told).ok());
    std::stop_source stop;
    told.on_step = [&](int64_t step) {
      if (step == 7) stop.request_stop();
    };
    ASSERT_EQ(*RunTrain(run, &told, stop.get_token()), TrainOutcome::kStopped);
    told.on_step = nullptr;
    ASSERT_EQ(*RunTrain(run, &told), TrainOutcome::kFinished);
    EXPECT_EQ(told.note, "");
    ExpectSameEnd(whole, whole_told, run, told);

    // Frozen parameters keep their values, have no state, and are in the checkpoint.
    const fs::path end = CheckpointPath(directory_ / run, 12);
    const auto weights = ReadSafetensors(end / "model.safetensors");
    const auto state = ReadSafetensors(end / "optimizer.safetensors");
    ASSERT_TRUE(weights.ok() && state.ok());
    VisionTransformer initial(Options(run, &told).resolved.spec.model());
    initial->Initialize(spec_.seed());
    for (const auto& item : initial->named_parameters()) {
      const std::string& name = item.key();
      const bool frozen = name.starts_with("patch_embed.") || name == "cls_token";
      EXPECT_EQ(at::equal(weights->tensors.at(name), item.value()), frozen) << name;
      EXPECT_EQ(state->tensors.contains("exp_avg." + name), !frozen) << name;
    }
  }
}

TEST_F(TrainerTest, RunningMeansAndFixedPositionsAreResumedToo) {
  vit::v1::ModelConfig* model = spec_.mutable_model();
  model->set_norm_layer(vit::v1::NORM_LAYER_BATCH_NORM);
  model->set_pos_embed(vit::v1::POSITION_EMBEDDING_SINCOS_2D);
  model->set_attn_mask_rate(0.2);
  Recorder whole, told;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  std::stop_source stop;
  told.on_step = [&](int64_t step) {
    if (step == 5) stop.request_stop();
  };
  ASSERT_TRUE(RunTrain("stopped", &told, stop.get_token()).ok());
  told.on_step = nullptr;
  ASSERT_TRUE(RunTrain("stopped", &told).ok());
  EXPECT_THAT(told.starts, ElementsAre(0, 5));
  ExpectSameEnd("whole", whole, "stopped", told);
}

TEST_F(TrainerTest, MixingAndAveragesAreResumedToo) {
  ASSERT_TRUE(ParseMessageText(R"(
    data { train { random_erasing { probability: 0.5 } } }
    mixing { mixup_alpha: 0.8 cutmix_alpha: 1 mode: MIX_MODE_ELEMENT unmixed_epochs: 0.4 }
    averaging { ema_decay: 0.9 swa_start_epoch: 1 swa_every_steps: 2 swa_learning_rate: 1e-4 }
    loss { type: LOSS_TYPE_FOCAL class_weighting: CLASS_WEIGHTING_INVERSE_FREQUENCY })",
                               &spec_)
                  .ok());
  Recorder whole;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  for (const int64_t stop_at : {2, 5, 7, 11}) {  // before the first average of SWA, and after
    const std::string run = absl::StrCat("stopped-", stop_at);
    Recorder told;
    std::stop_source stop;
    told.on_step = [&](int64_t step) {
      if (step == stop_at) stop.request_stop();
    };
    ASSERT_TRUE(RunTrain(run, &told, stop.get_token()).ok());
    told.on_step = nullptr;
    ASSERT_TRUE(RunTrain(run, &told).ok());
    EXPECT_THAT(told.starts, ElementsAre(0, stop_at));
    ExpectSameEnd("whole", whole, run, told);
  }
}

TEST_F(TrainerTest, AStudentOfATeacherIsResumedToo) {
  Recorder teacher, whole, told;
  ASSERT_TRUE(RunTrain("teacher", &teacher).ok());
  spec_.mutable_model()->set_distillation_token(true);
  spec_.mutable_distillation()->set_teacher("model:big");
  spec_.mutable_distillation()->set_type(vit::v1::DISTILLATION_TYPE_SOFT);
  models_.Add("big", CheckpointPath(directory_ / "teacher", 12));
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  std::stop_source stop;
  told.on_step = [&](int64_t step) {
    if (step == 5) stop.request_stop();
  };
  ASSERT_TRUE(RunTrain("stopped", &told, stop.get_token()).ok());
  told.on_step = nullptr;
  ASSERT_TRUE(RunTrain("stopped", &told).ok());
  ExpectSameEnd("whole", whole, "stopped", told);
  // Its answers count: without them the result differs.
  spec_.clear_distillation();
  Recorder alone;
  ASSERT_TRUE(RunTrain("alone", &alone).ok());
  EXPECT_FALSE(Contents("alone", 12, "model.safetensors") ==
               Contents("whole", 12, "model.safetensors"));
}

TEST_F(TrainerTest, TheAveragedWeightsAreStored) {
  Recorder told;
  spec_.mutable_averaging()->set_ema_decay(0.9);
  ASSERT_TRUE(RunTrain("run", &told).ok());
  const fs::path last = CheckpointPath(directory_ / "run", 12);
  const auto weights = ReadSafetensors(last / "model.safetensors");
  const auto state = ReadSafetensors(last / "optimizer.safetensors");
  ASSERT_TRUE(weights.ok() && state.ok());
  for (const auto& [name, tensor] : weights->tensors) {
    EXPECT_TRUE(at::equal(tensor, state->tensors.at("ema." + name))) << name;
  }
  EXPECT_FALSE(
      at::equal(weights->tensors.at("head.weight"), state->tensors.at("weights.head.weight")));
}

TEST_F(TrainerTest, ARunThatNoLongerImprovesEnds) {
  // With so small a learning rate nothing improves by that much.
  spec_.mutable_optimizer()->set_learning_rate(1e-12);
  spec_.mutable_early_stopping()->set_patience(2);
  spec_.mutable_early_stopping()->set_min_improvement(0.5);
  spec_.mutable_evaluation()->set_best(vit::v1::BEST_METRIC_LOSS);
  Recorder told;
  const auto outcome = RunTrain("run", &told);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_EQ(*outcome, TrainOutcome::kStoppedEarly);
  EXPECT_EQ(told.last_step, 6);  // evaluations at 3, 5 and 6
  EXPECT_EQ(Steps("run").back(), 6);
  // Resuming an ended run finds that it has ended.
  EXPECT_EQ(*RunTrain("run", &told), TrainOutcome::kStoppedEarly);
  EXPECT_EQ(told.last_step, 6);
}

TEST_F(TrainerTest, PatienceIsResumedToo) {
  spec_.mutable_optimizer()->set_learning_rate(1e-12);
  spec_.mutable_early_stopping()->set_patience(2);
  spec_.mutable_early_stopping()->set_min_improvement(0.5);
  Recorder told;
  std::stop_source stop;
  told.on_step = [&](int64_t step) {
    if (step == 5) stop.request_stop();
  };
  ASSERT_EQ(*RunTrain("run", &told, stop.get_token()), TrainOutcome::kStopped);
  told.on_step = nullptr;
  EXPECT_EQ(*RunTrain("run", &told), TrainOutcome::kStoppedEarly);
  EXPECT_EQ(told.last_step, 6);
}

TEST_F(TrainerTest, AnEvaluationTellsAllMetrics) {
  Recorder told;
  ASSERT_TRUE(RunTrain("run", &told).ok());
  MetricPoint point;
  ASSERT_TRUE(point.ParseFromString(told.history.at({12, vit::v1::SPLIT_VALIDATION})));
  EXPECT_GE(point.evaluation().top_k_accuracy(), point.accuracy());
  EXPECT_GT(point.evaluation().calibration_error(), 0);
  EXPECT_LE(point.evaluation().f1(), 1);
  ASSERT_TRUE(point.ParseFromString(told.history.at({12, vit::v1::SPLIT_TRAIN})));
  EXPECT_FALSE(point.has_evaluation());
}

TEST_F(TrainerTest, ACheckpointKeepsItsEvaluation) {
  Recorder told;
  ASSERT_TRUE(RunTrain("run", &told).ok());
  const auto evaluation = ReadEvaluation(CheckpointPath(directory_ / "run", 12));
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->step(), 12);
  ASSERT_EQ(evaluation->classes_size(), 10);
  ASSERT_EQ(evaluation->confusion_size(), 100);
  MetricPoint point;
  ASSERT_TRUE(point.ParseFromString(told.history.at({12, vit::v1::SPLIT_VALIDATION})));
  EXPECT_EQ(evaluation->accuracy(), point.accuracy());
  int64_t samples = 0, hits = 0;
  for (int label = 0; label < 10; ++label) {
    samples += evaluation->classes(label).samples();
    hits += evaluation->confusion(11 * label);
  }
  EXPECT_EQ(samples, 30);
  EXPECT_DOUBLE_EQ(static_cast<double>(hits) / 30, point.accuracy());
  // Damage is detected; a step that was not evaluated has no evaluation.
  spec_.mutable_checkpoint()->set_keep_last(100);
  ASSERT_TRUE(RunTrain("all", &told).ok());
  EXPECT_EQ(ReadEvaluation(CheckpointPath(directory_ / "all", 4)).status().code(),
            absl::StatusCode::kNotFound);
  std::ofstream(CheckpointPath(directory_ / "run", 12) / "evaluation.json") << "{}";
  EXPECT_EQ(ReadEvaluation(CheckpointPath(directory_ / "run", 12)).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(TrainerTest, TheBestIsByTheMetricThatWasAskedFor) {
  for (const auto metric : {vit::v1::BEST_METRIC_F1, vit::v1::BEST_METRIC_CALIBRATION_ERROR}) {
    spec_.mutable_evaluation()->set_best(metric);
    spec_.mutable_checkpoint()->set_keep_last(100);
    const std::string run = vit::v1::BestMetric_Name(metric);
    Recorder told;
    ASSERT_TRUE(RunTrain(run, &told).ok());
    std::optional<double> best;
    int64_t best_step = 0;
    for (const auto& [key, text] : told.history) {
      MetricPoint point;
      ASSERT_TRUE(point.ParseFromString(text));
      if (key.second != vit::v1::SPLIT_VALIDATION) continue;
      const double value = metric == vit::v1::BEST_METRIC_F1
                               ? point.evaluation().f1()
                               : -point.evaluation().calibration_error();
      if (best && value <= *best) continue;
      best = value;
      best_step = key.first;
    }
    for (const auto& info : ListCheckpoints(directory_ / run)) {
      EXPECT_EQ(info.best(), info.step() == best_step) << run << " " << info.step();
    }
  }
}

TEST_F(TrainerTest, AStopInMidEvaluationIsMadeUpForOnResume) {
  Recorder whole, told;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  std::stop_source stop;
  told.on_phase = [&](const std::string& phase) {
    if (phase == "evaluating") stop.request_stop();
  };
  ASSERT_EQ(*RunTrain("run", &told, stop.get_token()), TrainOutcome::kStopped);
  told.on_phase = nullptr;
  ASSERT_EQ(*RunTrain("run", &told), TrainOutcome::kFinished);
  ExpectSameEnd("whole", whole, "run", told);
}

TEST_F(TrainerTest, AStopInTheLastEvaluationIsMadeUpForInTheCheckpoint) {
  Recorder whole, told;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  std::stop_source stop;
  told.on_phase = [&](const std::string& phase) {
    if (phase == "evaluating" && told.last_step == 11) stop.request_stop();
  };
  ASSERT_EQ(*RunTrain("run", &told, stop.get_token()), TrainOutcome::kStopped);
  EXPECT_FALSE(ListCheckpoints(directory_ / "run").back().has_accuracy());
  told.on_phase = nullptr;
  ASSERT_EQ(*RunTrain("run", &told), TrainOutcome::kFinished);
  ExpectSameEnd("whole", whole, "run", told);
  const auto expected = ListCheckpoints(directory_ / "whole").back();
  const auto last = ListCheckpoints(directory_ / "run").back();
  EXPECT_EQ(last.step(), 12);
  EXPECT_EQ(last.accuracy(), expected.accuracy());
  EXPECT_EQ(last.loss(), expected.loss());
  EXPECT_EQ(last.best(), expected.best());
}

TEST_F(TrainerTest, AFinishedRunStaysFinished) {
  Recorder told;
  ASSERT_TRUE(RunTrain("run", &told).ok());
  const std::string weights = Contents("run", 12, "model.safetensors");
  const auto outcome = RunTrain("run", &told);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(*outcome, TrainOutcome::kFinished);
  EXPECT_THAT(told.starts, ElementsAre(0, 12));
  EXPECT_EQ(Contents("run", 12, "model.safetensors"), weights);
}

TEST_F(TrainerTest, ADamagedCheckpointIsPassedOverForTheOneBefore) {
  Recorder whole, told;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  std::stop_source stop;
  told.on_step = [&](int64_t step) {
    if (step == 8) stop.request_stop();
  };
  ASSERT_TRUE(RunTrain("run", &told, stop.get_token()).ok());
  std::ofstream(CheckpointPath(directory_ / "run", 8) / "optimizer.safetensors", std::ios::app)
      << "x";
  told.on_step = nullptr;
  ASSERT_TRUE(RunTrain("run", &told).ok());
  EXPECT_EQ(told.starts.back(), 6);
  EXPECT_THAT(told.note, HasSubstr("damaged"));
  EXPECT_TRUE(fs::exists(CheckpointPath(directory_ / "run", 8).string() + ".damaged"));
  ExpectSameEnd("whole", whole, "run", told);
}

TEST_F(TrainerTest, ANonFiniteLossFailsWithStepAndLearningRateAndKeepsTheLastCheckpoint) {
  Recorder told;
  std::stop_source stop;
  told.on_step = [&](int64_t step) {
    if (step == 4) stop.request_stop();
  };
  ASSERT_TRUE(RunTrain("run", &told, stop.get_token()).ok());
  const std::string good = Contents("run", 4, "model.safetensors");
  told.on_step = nullptr;
  // The first weights that the resumed run reads are finite but too large to multiply.
  spec_.mutable_optimizer()->set_learning_rate(1e30);
  spec_.set_clip_grad_norm(0);
  spec_.mutable_schedule()->set_warmup_steps(0);
  const auto outcome = RunTrain("run", &told);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("not finite at step "));
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("learning rate "));
  EXPECT_EQ(CheckpointSteps(directory_ / "run").back(), 4);  // and no unreadable one
  EXPECT_EQ(Contents("run", 4, "model.safetensors"), good);
}

TEST_F(TrainerTest, OtherDataOnResumeIsRefused) {
  Recorder told;
  std::stop_source stop;
  told.on_step = [&](int64_t) { stop.request_stop(); };
  ASSERT_TRUE(RunTrain("run", &told, stop.get_token()).ok());
  spec_.mutable_data()->mutable_shapes()->set_train_size(96);
  const auto outcome = RunTrain("run", &told);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(outcome.status().message()), HasSubstr("shapes:"));
}

TEST_F(TrainerTest, AnotherThreadCountContinuesAndSaysThatItIsInexact) {
  Recorder told;
  std::stop_source stop;
  told.on_step = [&](int64_t) { stop.request_stop(); };
  ASSERT_TRUE(RunTrain("run", &told, stop.get_token()).ok());
  told.on_step = nullptr;
  spec_.set_compute_threads(1);
  ASSERT_TRUE(RunTrain("run", &told).ok());
  EXPECT_THAT(told.note, HasSubstr("inexactly: the number of compute threads was 2, is 1"));
}

TEST_F(TrainerTest, AServedCheckpointStays) {
  Recorder told;
  TrainerOptions options = Options("run", &told);
  options.is_served = [](int64_t step) { return step == 4; };
  ASSERT_TRUE(RunTrain(options).ok());
  EXPECT_THAT(Steps("run"), ::testing::Contains(4));
}

TEST_F(TrainerTest, TrainingGoesOnWhereACheckpointCannotBeWritten) {
  Recorder whole, told;
  ASSERT_TRUE(RunTrain("whole", &whole).ok());
  told.before_checkpoint = [](int64_t step) {
    return step == 5 ? absl::ResourceExhaustedError("no space left on device") : absl::OkStatus();
  };
  ASSERT_TRUE(RunTrain("run", &told).ok());
  EXPECT_THAT(told.failed_checkpoints, ElementsAre(5));
  ExpectSameEnd("whole", whole, "run", told);
}

TEST_F(TrainerTest, AnEndThatCannotBeWrittenFailsTheRunAndKeepsTheCheckpointBefore) {
  Recorder told;
  told.before_checkpoint = [](int64_t step) {
    return step > 8 ? absl::ResourceExhaustedError("no space left on device") : absl::OkStatus();
  };
  const auto outcome = RunTrain("run", &told);
  EXPECT_EQ(outcome.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Steps("run").back(), 8);
}

TEST_F(TrainerTest, InitStartsFromWeightsInAFileOrKeptFromAnotherRun) {
  Recorder told;
  ASSERT_TRUE(RunTrain("source", &told).ok());
  const fs::path file = CheckpointPath(directory_ / "source", 12) / "model.safetensors";
  spec_.set_init(file.string());
  TrainerOptions from_file = Options("file", &told);
  from_file.resolved.total_steps = 1;
  ASSERT_TRUE(RunTrain(from_file).ok());
  spec_.clear_init();
  TrainerOptions from_kept = Options("kept", &told);
  from_kept.resolved.total_steps = 1;
  from_kept.resolved.spec.set_init("run:deleted@12");
  fs::copy_file(file, from_kept.directory / "init.safetensors");
  ASSERT_TRUE(RunTrain(from_kept).ok());
  EXPECT_EQ(Contents("file", 1, "model.safetensors"), Contents("kept", 1, "model.safetensors"));

  const auto source = ReadSafetensors(file);
  const auto after = ReadSafetensors(CheckpointPath(directory_ / "file", 1) / "model.safetensors");
  ASSERT_TRUE(source.ok() && after.ok());
  // One small step away from the source, far from a random start.
  const std::string name = "blocks.0.mlp.fc1.weight";
  EXPECT_LT((source->tensors.at(name) - after->tensors.at(name)).abs().max().item<double>(), 0.01);
}

TEST_F(TrainerTest, AHeadOfTheSameClassesIsPutIntoTheirOrderAndOneOfOthersStartsAnew) {
  Recorder told;
  ASSERT_TRUE(RunTrain("source", &told).ok());
  const fs::path file = CheckpointPath(directory_ / "source", 12) / "model.safetensors";
  const auto after_one_step = [&](const std::string& run, std::vector<std::string> labels) {
    TrainerOptions options = Options(run, &told);
    options.resolved.total_steps = 1;
    options.resolved.spec.set_init("run:source@12");
    fs::copy_file(file, options.directory / "init.safetensors");
    EXPECT_TRUE(
        WriteFile(options.directory / "init.labels.txt", absl::StrJoin(labels, "\n") + "\n").ok());
    EXPECT_TRUE(RunTrain(options).ok());
    const auto weights =
        ReadSafetensors(CheckpointPath(options.directory, 1) / "model.safetensors");
    EXPECT_TRUE(weights.ok()) << weights.status();
    return weights->tensors.at("head.weight").clone();
  };
  std::vector<std::string> labels = Options("source", &told).resolved.data->class_names();
  const at::Tensor same = after_one_step("same", labels);
  EXPECT_THAT(told.note, Not(HasSubstr("head")));
  std::rotate(labels.begin(), labels.begin() + 1, labels.end());
  const at::Tensor rotated = after_one_step("rotated", labels);
  EXPECT_THAT(told.note, HasSubstr("put into the data's order of classes"));
  const at::Tensor source = ReadSafetensors(file)->tensors.at("head.weight");
  // One small step away from the rows of the same classes.
  EXPECT_LT((same - source).abs().max().item<double>(), 0.01);
  EXPECT_LT((rotated - source.roll(1, 0)).abs().max().item<double>(), 0.01);
  EXPECT_GT((rotated - source).abs().max().item<double>(), 0.02);
  labels[0] = "another";
  after_one_step("other", labels);
  EXPECT_THAT(told.note, HasSubstr("the head is new: the weights' classes are another"));
}

TEST_F(TrainerTest, ABadImageIsToldOnceAndTheRunGoesOn) {
  // Six images of two classes, one of them cut short.
  const fs::path root = directory_ / "images";
  for (const char* split : {"train", "val"}) {
    for (const char* label : {"a", "b"}) fs::create_directories(root / split / label);
  }
  const auto write_bmp = [](const fs::path& path, uint8_t shade, size_t keep) {
    std::string bmp("BM", 2);
    const auto u32 = [&](uint32_t v) {
      for (int i = 0; i < 4; ++i) bmp.push_back(static_cast<char>(v >> 8 * i));
    };
    const auto u16 = [&](uint16_t v) {
      for (int i = 0; i < 2; ++i) bmp.push_back(static_cast<char>(v >> 8 * i));
    };
    u32(54 + 16 * 16 * 3);
    u32(0);
    u32(54);
    u32(40);
    u32(16);
    u32(16);
    u16(1);
    u16(24);
    u32(0);
    u32(16 * 16 * 3);
    u32(0);
    u32(0);
    u32(0);
    u32(0);
    bmp.append(16 * 16 * 3, static_cast<char>(shade));
    std::ofstream(path, std::ios::binary) << bmp.substr(0, keep);
  };
  for (int i = 0; i < 4; ++i) {
    write_bmp(root / "train/a" / absl::StrCat(i, ".bmp"), 40 + i, std::string::npos);
    write_bmp(root / "train/b" / absl::StrCat(i, ".bmp"), 200 + i, std::string::npos);
    write_bmp(root / "val/a" / absl::StrCat(i, ".bmp"), 50 + i, std::string::npos);
    write_bmp(root / "val/b" / absl::StrCat(i, ".bmp"), 210 + i, std::string::npos);
  }
  write_bmp(root / "train/b/2.bmp", 200, 300);
  spec_.mutable_data()->set_source("folder:" + root.string());
  spec_.mutable_data()->clear_shapes();
  spec_.set_batch_size(4);
  spec_.mutable_data()->set_max_bad_fraction(0.2);
  Recorder told;
  const auto outcome = RunTrain("run", &told);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(told.bad_images, ElementsAre(HasSubstr("train/b/2.bmp")));

  spec_.mutable_data()->set_max_bad_fraction(0.05);
  Recorder strict;
  const auto failed = RunTrain("strict", &strict);
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("train/b/2.bmp"));

  // If no validation image can be read, the result is neither 0 nor NaN but an error.
  for (const char* name : {"a", "b"}) {
    for (int i = 0; i < 4; ++i) {
      write_bmp(root / "val" / name / absl::StrCat(i, ".bmp"), 50 + i, 300);
    }
  }
  spec_.mutable_data()->set_max_bad_fraction(1);
  Recorder blind;
  EXPECT_THAT(std::string(RunTrain("blind", &blind).status().message()),
              HasSubstr("none of the 8 validation images can be read"));
  spec_.mutable_data()->set_max_bad_fraction(0.2);
  Recorder limited;
  EXPECT_THAT(std::string(RunTrain("limited", &limited).status().message()),
              HasSubstr("8 of the 8 validation images cannot be read"));
}

}  // namespace
}  // namespace vit
