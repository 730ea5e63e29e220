#include "core/runs/events/tensorboard_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "tensorboard/event.pb.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::FloatEq;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class TensorBoardLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(::testing::TempDir()) /
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::unique_ptr<TensorBoardLog> Start(int64_t step) {
    auto log = TensorBoardLog::Start(directory_, step, absl::FromUnixSeconds(1'700'000'000));
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(directory_)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
  }

  // The events of a file, its lengths and checksums checked.
  static std::vector<tensorboard::Event> Read(const fs::path& path) {
    const std::string bytes = *ReadFile(path, 1 << 20);
    const auto masked = [](absl::string_view data) {
      const uint32_t crc = Crc32c(data);
      return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
    };
    std::vector<tensorboard::Event> events;
    for (size_t at = 0; at < bytes.size();) {
      uint64_t length;
      uint32_t length_crc, data_crc;
      memcpy(&length, &bytes[at], 8);
      memcpy(&length_crc, &bytes[at + 8], 4);
      EXPECT_EQ(length_crc, masked(absl::string_view(&bytes[at], 8)));
      const absl::string_view data(&bytes[at + 12], length);
      memcpy(&data_crc, &bytes[at + 12 + length], 4);
      EXPECT_EQ(data_crc, masked(data));
      EXPECT_TRUE(events.emplace_back().ParseFromArray(data.data(), static_cast<int>(length)));
      at += 16 + length;
    }
    return events;
  }

  fs::path directory_;
};

TEST(Crc32cTest, IsTheStandards) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283);            // the check value of RFC 3720's polynomial
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AA);  // RFC 3720, B.4
}

TEST_F(TensorBoardLogTest, WritesTheScalarsOfEachPoint) {
  auto log = Start(0);
  vit::v1::MetricPoint train;
  train.set_split(vit::v1::SPLIT_TRAIN);
  train.set_step(20);
  train.set_loss(1.5);
  train.set_accuracy(0.5);
  train.set_learning_rate(1e-3);
  train.set_grad_norm(2);
  train.set_images_per_second(300);
  train.mutable_time()->set_seconds(1'700'000'100);
  ASSERT_TRUE(log->Add(train).ok());
  vit::v1::MetricPoint validation;
  validation.set_split(vit::v1::SPLIT_VALIDATION);
  validation.set_step(20);
  validation.set_loss(1.25);
  validation.mutable_evaluation()->set_f1(0.75);
  ASSERT_TRUE(log->Add(validation).ok());

  ASSERT_EQ(Files().size(), 1);
  const auto events = Read(Files()[0]);
  ASSERT_EQ(events.size(), 4);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events[2].step(), 20);
  EXPECT_EQ(events[2].wall_time(), 1'700'000'100);
  std::map<std::string, float> scalars;
  for (const auto& value : events[2].summary().value()) scalars[value.tag()] = value.simple_value();
  EXPECT_THAT(scalars, UnorderedElementsAre(Pair("train/loss", FloatEq(1.5)),
                                            Pair("train/accuracy", FloatEq(0.5)),
                                            Pair("train/learning_rate", FloatEq(1e-3)),
                                            Pair("train/grad_norm", FloatEq(2)),
                                            Pair("train/images_per_second", FloatEq(300))));
  scalars.clear();
  for (const auto& value : events[3].summary().value()) scalars[value.tag()] = value.simple_value();
  EXPECT_EQ(scalars.at("validation/loss"), 1.25F);
  EXPECT_EQ(scalars.at("validation/f1"), 0.75F);
}

TEST_F(TensorBoardLogTest, EachStartHasAFileAndVoidsWhatComesAfterItsStep) {
  Start(0);
  Start(40);  // in the same second, by the same process
  ASSERT_EQ(Files().size(), 2);
  EXPECT_EQ(Read(Files()[0])[1].step(), 1);
  EXPECT_EQ(Read(Files()[1])[1].step(), 41);
}

}  // namespace
}  // namespace vit
