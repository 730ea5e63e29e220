#include "core/train/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <fstream>

#include "core/base/file.h"
#include "core/tensor_file/safetensors.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/trainer.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    run_ = fs::path(::testing::TempDir()) /
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(run_);
  }
  void TearDown() override { fs::remove_all(run_); }

  static Checkpoint Make(int64_t step) {
    Checkpoint checkpoint;
    checkpoint.state.step = step;
    checkpoint.state.loss_sum = 0.1 + 0.2;  // not a short decimal
    checkpoint.state.correct = 17;
    checkpoint.state.samples = 40;
    checkpoint.state.data_fingerprint = "abc";
    checkpoint.state.compute_threads = 2;
    checkpoint.state.time = absl::UnixEpoch() + absl::Milliseconds(1500);
    checkpoint.weights = {{"head.weight", at::arange(6, at::kFloat).view({2, 3})},
                          {"head.bias", at::ones({2})}};
    checkpoint.optimizer = {{"step", at::full({}, 3.0f)}};
    checkpoint.description.model.set_num_classes(2);
    checkpoint.description.preprocessing.add_mean(0.5);
    checkpoint.description.labels = {"cat", "dog"};
    checkpoint.spec.set_batch_size(8);
    return checkpoint;
  }
  static absl::Status Ready() { return absl::OkStatus(); }

  std::vector<int64_t> Steps() const {
    std::vector<int64_t> steps;
    for (const auto& info : ListCheckpoints(run_)) steps.push_back(info.step());
    return steps;
  }

  fs::path run_;
};

TEST_F(CheckpointTest, ComesBackAsItWas) {
  Checkpoint written = Make(10);
  written.state.accuracy = 0.75;
  written.state.loss = 1.25;
  written.state.best_step = 10;
  written.state.best_accuracy = 0.75;
  written.state.evaluation_due = true;
  ASSERT_TRUE(WriteCheckpoint(run_, written, Ready).ok());
  const fs::path path = CheckpointPath(run_, 10);
  EXPECT_EQ(path.filename(), "step-000000010");
  EXPECT_TRUE(VerifyCheckpoint(path).ok());
  const auto state = ReadTrainState(path);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->step, 10);
  EXPECT_EQ(state->loss_sum, 0.1 + 0.2);
  EXPECT_EQ(state->correct, 17);
  EXPECT_EQ(state->samples, 40);
  EXPECT_EQ(state->accuracy, 0.75);
  EXPECT_EQ(state->best_step, 10);
  EXPECT_TRUE(state->evaluation_due);
  EXPECT_EQ(state->time, written.state.time);
  const auto weights = ReadSafetensors(path / "model.safetensors");
  ASSERT_TRUE(weights.ok());
  EXPECT_TRUE(at::equal(weights->tensors.at("head.weight"), written.weights[0].second));
  const auto infos = ListCheckpoints(run_);
  ASSERT_EQ(infos.size(), 1);
  EXPECT_TRUE(infos[0].best());
  EXPECT_EQ(infos[0].accuracy(), 0.75);
}

TEST_F(CheckpointTest, AFailureBeforeTheRenameLeavesNothing) {
  ASSERT_TRUE(WriteCheckpoint(run_, Make(1), Ready).ok());
  const absl::Status status =
      WriteCheckpoint(run_, Make(2), [] { return absl::ResourceExhaustedError("disk full"); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Steps(), ElementsAre(1));
  EXPECT_EQ(std::distance(fs::directory_iterator(run_ / "checkpoints"), {}), 1);
}

TEST_F(CheckpointTest, AHalfWrittenOneIsNotListed) {
  ASSERT_TRUE(WriteCheckpoint(run_, Make(1), Ready).ok());
  fs::copy(CheckpointPath(run_, 1), CheckpointPath(run_, 2).string() + ".tmp");
  EXPECT_THAT(Steps(), ElementsAre(1));
  // The same step can be written again over what a crash left.
  ASSERT_TRUE(WriteCheckpoint(run_, Make(2), Ready).ok());
  EXPECT_THAT(Steps(), ElementsAre(1, 2));
}

TEST_F(CheckpointTest, AChangedByteIsDataLossNamingTheFile) {
  ASSERT_TRUE(WriteCheckpoint(run_, Make(1), Ready).ok());
  const fs::path weights = CheckpointPath(run_, 1) / "model.safetensors";
  std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-1, std::ios::end);
  file.put('\x7f');
  file.close();
  const absl::Status status = VerifyCheckpoint(CheckpointPath(run_, 1));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("model.safetensors"));
}

TEST_F(CheckpointTest, AMissingFileAndMissingChecksumsAreDataLoss) {
  ASSERT_TRUE(WriteCheckpoint(run_, Make(1), Ready).ok());
  const fs::path directory = CheckpointPath(run_, 1);
  ASSERT_TRUE(VerifyCheckpoint(directory).ok());
  const std::string sums = ReadFile(directory / "SHA256SUMS", 10'000).value();
  ASSERT_TRUE(WriteFile(directory / "SHA256SUMS", sums.substr(0, sums.rfind("  "))).ok());
  EXPECT_EQ(VerifyCheckpoint(directory).code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(WriteFile(directory / "SHA256SUMS", sums).ok());
  fs::remove(directory / "optimizer.safetensors");
  const absl::Status missing = VerifyCheckpoint(directory);
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("optimizer.safetensors is missing"));
}

TEST_F(CheckpointTest, ABestOneThatWasNeverWrittenLeavesTheBestBeforeIt) {
  Checkpoint checkpoint = Make(1);
  checkpoint.state.best_step = 1;
  ASSERT_TRUE(WriteCheckpoint(run_, checkpoint, Ready).ok());
  checkpoint = Make(3);
  checkpoint.state.best_step = 2;
  ASSERT_TRUE(WriteCheckpoint(run_, checkpoint, Ready).ok());
  const auto infos = ListCheckpoints(run_);
  ASSERT_EQ(infos.size(), 2);
  EXPECT_TRUE(infos[0].best());
  EXPECT_FALSE(infos[1].best());
}

TEST_F(CheckpointTest, WhatAKillLeftHalfDoneIsRemoved) {
  ASSERT_TRUE(WriteCheckpoint(run_, Make(1), Ready).ok());
  fs::create_directories(CheckpointPath(run_, 2).string() + ".tmp");
  fs::create_directories(CheckpointPath(run_, 3).string() + ".removed");
  fs::create_directories(CheckpointPath(run_, 4).string() + ".damaged");
  ASSERT_TRUE(RemoveUnfinishedCheckpoints(run_).ok());
  EXPECT_THAT(Steps(), ElementsAre(1));
  EXPECT_FALSE(fs::exists(CheckpointPath(run_, 2).string() + ".tmp"));
  EXPECT_FALSE(fs::exists(CheckpointPath(run_, 3).string() + ".removed"));
  EXPECT_TRUE(fs::exists(CheckpointPath(run_, 4).string() + ".damaged"));
}

TEST_F(CheckpointTest, OneThatCannotBeUnderstoodIsSkipped) {
  ASSERT_TRUE(WriteCheckpoint(run_, Make(1), Ready).ok());
  ASSERT_TRUE(WriteCheckpoint(run_, Make(2), Ready).ok());
  std::ofstream(CheckpointPath(run_, 2) / "state.json") << "{";
  EXPECT_THAT(Steps(), ElementsAre(1));
}

TEST_F(CheckpointTest, OldOnesGoButTheBestTheNewestAndTheServedStay) {
  for (int64_t step = 1; step <= 6; ++step) {
    Checkpoint checkpoint = Make(step);
    checkpoint.state.best_step = 2;
    ASSERT_TRUE(WriteCheckpoint(run_, checkpoint, Ready).ok());
  }
  ASSERT_TRUE(RemoveOldCheckpoints(run_, 2, [](int64_t step) { return step == 3; }).ok());
  EXPECT_THAT(Steps(), ElementsAre(2, 3, 5, 6));
}

}  // namespace
}  // namespace vit
