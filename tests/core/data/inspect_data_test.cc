#include "core/data/tools/inspect_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/data/image/transform.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class InspectDataTest : public ::testing::Test {
 protected:
  vit::v1::DataReport Inspect(const InspectOptions& options = {.threads = 2}) {
    config_.set_source("folder:" + folder_.root());
    const auto data = DataSet::Open(config_, {.data_roots = {folder_.root()}});
    EXPECT_TRUE(data.ok()) << data.status();
    const auto report = InspectData(**data, options, {}, [](int64_t) {});
    EXPECT_TRUE(report.ok()) << report.status();
    return *report;
  }
  void Write(const std::string& name, const Image& image, const std::string& extension = ".png") {
    folder_.Write(name, Encode(image, extension));
  }
  static Image Plain(int width, int height, uint8_t red, uint8_t green, uint8_t blue) {
    Image image{width, height, {}};
    for (int i = 0; i < width * height; ++i) {
      image.rgb.insert(image.rgb.end(), {red, green, blue});
    }
    return image;
  }
  // Blurred patches of random colours.
  static Image Patches(int width, int height, uint64_t seed) {
    Image small{10, 10, std::vector<uint8_t>(300)};
    CounterRandom random(seed, RandomPurpose::kInit, 0, 0);
    for (uint8_t& value : small.rgb) value = static_cast<uint8_t>(random.UniformInt(256));
    return Resize(small, width, height, vit::v1::INTERPOLATION_BICUBIC);
  }
  // Without the temporary folder's name.
  std::vector<std::string> Names(const vit::v1::DuplicateGroup& group) {
    std::vector<std::string> names;
    for (const std::string& name : group.names()) {
      names.push_back(name.substr(folder_.root().size() + 1));
    }
    return names;
  }

  TemporaryFolder folder_;
  vit::v1::DataConfig config_;
};

TEST_F(InspectDataTest, NotesWhatARunRefuses) {
  for (int i = 0; i < 4; ++i) {
    Write(absl::StrCat("train/cat/", i, ".png"), Patches(40, 30, i));
    Write(absl::StrCat("val/cat/", i, ".png"), Patches(40, 30, 10 + i));
  }
  folder_.Write("train/cat/bad.png", "no image");
  EXPECT_THAT(
      Inspect({.max_bad_fraction = 0.1}).notes(),
      AllOf(Contains(StartsWith("a run refuses this: only one class, 'cat'")),
            Contains("a run fails with this: 1 of 5 training images cannot be read, more than "
                     "data.max_bad_fraction (0.1) allows")));
  EXPECT_THAT(Inspect({.max_bad_fraction = 0.2}).notes(),
              Not(Contains(StartsWith("a run fails with this"))));
}

TEST_F(InspectDataTest, SaysHowTheSourceWasUnderstood) {
  Write("train/a/1.png", Plain(4, 4, 1, 2, 3));
  Write("valid/a/1.png", Plain(4, 4, 3, 2, 1));
  Write("test/a/1.png", Plain(4, 4, 3, 1, 2));
  folder_.Write("train/a/\xFF.txt", "text");
  folder_.Write("train/a/2.gif", "GIF89a");
  folder_.Write("train/a/3.gif", "GIF89a");
  const vit::v1::DataReport report = Inspect();
  EXPECT_EQ(report.validation_samples(), 1);
  EXPECT_THAT(report.notes(),
              ElementsAre("valid/ is the source's validation split",
                          "not used: test/ beside train/", HasSubstr("only one class, 'a'")));
  config_.set_validation_split(vit::v1::VALIDATION_SPLIT_HELD_OUT);
  EXPECT_THAT(Inspect().notes(2), HasSubstr("the source's own validation split is not used"));
  ASSERT_EQ(report.passed_over_size(), 2);
  EXPECT_EQ(report.passed_over(0).kind(), "GIF");
  EXPECT_EQ(report.passed_over(0).count(), 2);
  EXPECT_EQ(report.passed_over(0).example(), folder_.root() + "/train/a/2.gif");
  EXPECT_EQ(report.passed_over(1).kind(), "not an image");
  EXPECT_EQ(report.passed_over(1).example(), folder_.root() + "/train/a/\\377.txt");
}

TEST_F(InspectDataTest, CountsAndSizes) {
  Write("train/a/1.png", Patches(40, 30, 1));
  Write("train/a/2.png", Patches(20, 10, 2));
  Write("train/b/3.png", Patches(64, 48, 3));
  Write("val/b/4.png", Patches(30, 31, 4));
  Write("val/a/5.png", Patches(100, 90, 5));
  const vit::v1::DataReport report = Inspect();
  ASSERT_EQ(report.classes_size(), 2);
  EXPECT_EQ(report.classes(0).name(), "a");
  EXPECT_EQ(report.classes(0).train(), 2);
  EXPECT_EQ(report.classes(0).validation(), 1);
  EXPECT_EQ(report.classes(1).train(), 1);
  EXPECT_EQ(report.train_samples(), 3);
  EXPECT_EQ(report.validation_samples(), 2);
  EXPECT_EQ(report.smallest().width(), 20);
  EXPECT_EQ(report.median().height(), 30);
  EXPECT_EQ(report.largest().width(), 100);
  EXPECT_EQ(report.unreadable_count() + report.duplicates() + report.near_duplicates() +
                report.leaked() + report.contradictions(),
            0);
}

TEST_F(InspectDataTest, MeanAndStdAreThoseOfTheTrainingImages) {
  // Two values; each image counts the same, regardless of its size.
  Write("train/a/1.png", Plain(4, 4, 255, 51, 0));
  Write("train/a/2.png", Plain(16, 16, 0, 51, 0));
  Write("val/a/3.png", Plain(8, 8, 255, 255, 255));
  const vit::v1::DataReport report = Inspect();
  EXPECT_NEAR(report.mean(0), 0.5, 1e-9);
  EXPECT_NEAR(report.mean(1), 0.2, 1e-9);
  EXPECT_NEAR(report.mean(2), 0, 1e-9);
  EXPECT_NEAR(report.std(0), 0.5, 1e-9);
  EXPECT_NEAR(report.std(1), 0, 1e-6);
  EXPECT_NEAR(report.std(2), 0, 1e-6);
}

TEST_F(InspectDataTest, UnreadableImagesAreNamedWithTheReason) {
  Write("train/a/1.png", Patches(40, 30, 1));
  folder_.Write("train/a/2.png", "no image");
  folder_.Write("val/a/3.jpg", Encode(Patches(40, 30, 2), ".jpg").substr(0, 300));
  vit::v1::DataReport report = Inspect();
  EXPECT_EQ(report.unreadable_count(), 2);
  ASSERT_EQ(report.unreadable_size(), 2);
  EXPECT_THAT(report.unreadable(0).name(), HasSubstr("train/a/2.png"));
  EXPECT_FALSE(report.unreadable(0).reason().empty());
  EXPECT_THAT(report.unreadable(1).name(), HasSubstr("val/a/3.jpg"));
  report = Inspect({.threads = 1, .most_named = 1});
  EXPECT_EQ(report.unreadable_count(), 2);
  EXPECT_EQ(report.unreadable_size(), 1);
}

TEST_F(InspectDataTest, CopiesLeaksAndContradictionsAreFound) {
  for (int i = 0; i < 6; ++i) Write(absl::StrCat("train/a/", i, ".png"), Patches(60, 40, 10 * i));
  Write("train/b/0.png", Patches(60, 40, 77));
  Write("train/b/contradiction.png", Patches(60, 40, 0));
  Write("val/a/leak.png", Patches(60, 40, 10));
  Write("val/a/own.png", Patches(60, 40, 99));
  Write("val/b/smaller.jpg", Resize(Patches(60, 40, 20), 48, 32, vit::v1::INTERPOLATION_BICUBIC),
        ".jpg");
  const vit::v1::DataReport report = Inspect();
  EXPECT_EQ(report.duplicates(), 2);
  EXPECT_EQ(report.near_duplicates(), 1);
  EXPECT_EQ(report.leaked(), 2);
  EXPECT_EQ(report.contradictions(), 2);
  ASSERT_EQ(report.groups_size(), 3);
  EXPECT_THAT(Names(report.groups(0)), ElementsAre("train/a/0.png", "train/b/contradiction.png"));
  EXPECT_TRUE(report.groups(0).exact());
  EXPECT_TRUE(report.groups(0).across_classes());
  EXPECT_FALSE(report.groups(0).across_splits());
  EXPECT_THAT(Names(report.groups(1)), ElementsAre("train/a/1.png", "val/a/leak.png"));
  EXPECT_TRUE(report.groups(1).across_splits());
  EXPECT_FALSE(report.groups(1).across_classes());
  EXPECT_THAT(Names(report.groups(2)), ElementsAre("train/a/2.png", "val/b/smaller.jpg"));
  EXPECT_FALSE(report.groups(2).exact());
}

TEST_F(InspectDataTest, ImagesThatOnlyShareAnOutlineAreNoCopies) {
  Image bright = Patches(60, 40, 1);
  for (uint8_t& value : bright.rgb) value = static_cast<uint8_t>(value / 2);
  Write("train/a/1.png", Patches(60, 40, 1));
  Write("val/a/2.png", bright);
  EXPECT_EQ(Inspect().near_duplicates(), 0);
}

TEST_F(InspectDataTest, PlainSurfacesAreNoCopiesOfEachOther) {
  Write("train/a/1.png", Plain(8, 8, 10, 10, 10));
  Write("train/a/2.png", Plain(8, 8, 200, 10, 10));
  Write("val/a/3.png", Plain(9, 8, 10, 10, 10));
  const vit::v1::DataReport report = Inspect();
  EXPECT_EQ(report.near_duplicates(), 0);
  EXPECT_EQ(report.leaked(), 0);
}

TEST_F(InspectDataTest, TheChosenSplitIsWhatIsInspected) {
  for (int i = 0; i < 10; ++i) Write(absl::StrCat("a/", i, ".png"), Patches(60, 40, 10 * i));
  config_.set_folds(5);
  config_.add_per_class_limit(3);
  const vit::v1::DataReport report = Inspect();
  EXPECT_EQ(report.train_samples(), 3);
  EXPECT_EQ(report.validation_samples(), 2);
}

TEST_F(InspectDataTest, ThreadCountChangesNothing) {
  for (int i = 0; i < 40; ++i) {
    Write(absl::StrCat("train/a/", i, ".png"), Patches(20 + i, 40, i % 30));
  }
  Write("val/a/x.png", Patches(20, 40, 0));
  const std::string one = Inspect({.threads = 1}).SerializeAsString();
  EXPECT_EQ(Inspect({.threads = 5}).SerializeAsString(), one);
}

TEST_F(InspectDataTest, StopsWhenAsked) {
  Write("train/a/1.png", Patches(40, 30, 1));
  Write("val/a/1.png", Patches(40, 30, 2));
  config_.set_source("folder:" + folder_.root());
  const auto data = DataSet::Open(config_, {.data_roots = {folder_.root()}});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(InspectData(**data, {}, stop.get_token(), [](int64_t) {}).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace vit
