#include "client/vitctl/view/progress_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "client/vitctl/view/text.h"
#include "proto/time.h"
#include "tests/client/fake_vitd.h"

namespace vit {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

FrameOptions At(int columns, bool utf8) {
  FrameOptions options;
  options.columns = columns;
  options.utf8 = utf8;
  options.received = FromProto(TrainingRun().start_time()) + absl::Seconds(192);
  options.now = options.received + absl::Seconds(8);
  return options;
}

TEST(ProgressViewTest, ShowsTheRunAtEightyColumns) {
  EXPECT_THAT(
      RenderFrame(TrainingRun(), {}, At(80, false)),
      ElementsAre("run 7f3a2c  RUNNING  training  pets",
                  "##################------------------------  43%  step 1,234/2,860  epoch 4.3/10",
                  "train       loss 0.8312  accuracy 71.4%  lr 8.2e-04  grad norm 1.2100",
                  "validation  loss 0.9021  accuracy 68.9%  at step 1,200",
                  "1,204 images/s  elapsed 3m 20s  left 4m 00s  best 68.9% at step 1,200"));
}

TEST(ProgressViewTest, FitsEveryWidth) {
  v1::Run run = TrainingRun();
  run.set_name(std::string(150, 'n'));
  run.set_message(
      "resumed from step 1,000 after the daemon went away, on another number of threads");
  run.set_bad_images(12);
  Curves curves;
  for (int i = 0; i < 500; ++i) {
    curves.train_loss.push_back(500 - i);
    curves.validation_accuracy.push_back(i / 500.0);
  }
  for (int columns = 10; columns <= 300; ++columns) {
    for (const bool utf8 : {false, true}) {
      for (const std::string& line : RenderFrame(run, curves, At(columns, utf8))) {
        ASSERT_LT(DisplayWidth(line), columns) << line;
      }
    }
  }
}

TEST(ProgressViewTest, UsesTheRoomForCurves) {
  Curves curves;
  for (const double loss : {3.0, 2.0, 1.0}) curves.train_loss.push_back(loss);
  EXPECT_THAT(absl::StrJoin(RenderFrame(TrainingRun(), curves, At(200, true)), "\n"),
              HasSubstr("█▅▁"));
  EXPECT_THAT(absl::StrJoin(RenderFrame(TrainingRun(), curves, At(80, true)), "\n"),
              Not(HasSubstr("█▅▁")));
  EXPECT_THAT(absl::StrJoin(RenderFrame(TrainingRun(), curves, At(200, false)), "\n"),
              Not(HasSubstr("▁")));
}

TEST(ProgressViewTest, TellsAPhaseWithItsProgress) {
  v1::Run run = TrainingRun();
  run.set_phase("evaluating");
  run.set_phase_progress(0.42);
  EXPECT_THAT(RenderFrame(run, {}, At(80, false))[0], HasSubstr("evaluating 42%"));
}

TEST(ProgressViewTest, TellsThePlaceInTheQueue) {
  v1::Run run;
  run.set_id("1");
  run.set_state(v1::RUN_STATE_QUEUED);
  run.set_queue_position(3);
  EXPECT_THAT(RenderFrame(run, {}, At(80, false))[0], HasSubstr("QUEUED  place 3 in the queue"));
}

TEST(ProgressViewTest, TimeLeftCountsDownToZeroOnly) {
  FrameOptions late = At(80, false);
  late.now = late.received + absl::Hours(1);
  EXPECT_THAT(absl::StrJoin(RenderFrame(TrainingRun(), {}, late), "\n"), HasSubstr("left 0ms"));
}

TEST(ProgressViewTest, ColoursOnlyWhereAsked) {
  FrameOptions options = At(80, true);
  EXPECT_THAT(absl::StrJoin(RenderFrame(TrainingRun(), {}, options), "\n"), Not(HasSubstr("\x1b")));
  options.color = true;
  EXPECT_THAT(absl::StrJoin(RenderFrame(TrainingRun(), {}, options), "\n"), HasSubstr("\x1b[36m"));
}

TEST(ProgressBarTest, FillsByEighths) {
  EXPECT_EQ(ProgressBar(0, 4, true), "░░░░");
  EXPECT_EQ(ProgressBar(1, 4, true), "████");
  EXPECT_EQ(ProgressBar(0.53125, 4, true), "██▏░");
  EXPECT_EQ(ProgressBar(0.5, 4, false), "##--");
  EXPECT_EQ(ProgressBar(7, 2, false), "##");
}

TEST(SparklineTest, ScalesToItsOwnRange) {
  EXPECT_EQ(Sparkline({0, 1, 0.5}, 10), "▁█▅");
  EXPECT_EQ(Sparkline({0, 2, 4, 6, 8, 10}, 3), "▁▅█");
  EXPECT_EQ(Sparkline({2, 2}, 10), "▁▁");
}

}  // namespace
}  // namespace vit
