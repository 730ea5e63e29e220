// Which samples of a source DataSet::Open keeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/data/dataset.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using DataSetPtr = std::shared_ptr<const DataSet>;

class SelectSamplesTest : public ::testing::Test {
 protected:
  SelectSamplesTest() {
    config_.set_source("shapes:");
    config_.mutable_shapes()->set_train_size(500);
    config_.mutable_shapes()->set_val_size(100);
  }
  DataSetPtr Open() {
    auto data = DataSet::Open(config_, {.data_roots = {folder_.root()}});
    EXPECT_TRUE(data.ok()) << data.status();
    return *data;
  }
  std::string OpenError() {
    const auto data = DataSet::Open(config_, {.data_roots = {folder_.root()}});
    EXPECT_EQ(data.status().code(), absl::StatusCode::kInvalidArgument) << data.status();
    return std::string(data.status().message());
  }
  void Limit(const std::vector<int64_t>& limits) {
    config_.mutable_per_class_limit()->Assign(limits.begin(), limits.end());
  }
  static std::set<std::string> Names(const DataSet& data, DataSplit split) {
    std::set<std::string> names;
    for (int64_t i = 0; i < data.size(split); ++i) names.insert(data.name(split, i));
    return names;
  }

  TemporaryFolder folder_;
  vit::v1::DataConfig config_;
};

TEST_F(SelectSamplesTest, LimitsCutTheTrainingSplitAlone) {
  Limit({44, 41, 30, 41, 45, 37, 35, 0, 26, 99});
  const DataSetPtr data = Open();
  EXPECT_THAT(ClassCounts(*data, DataSplit::kTrain),
              ElementsAre(44, 41, 30, 41, 45, 37, 35, /*no limit*/ 50, 26, /*has no more*/ 50));
  EXPECT_THAT(ClassCounts(*data, DataSplit::kValidation), Each(10));
  EXPECT_EQ(data->size(DataSplit::kTrain), 399);
  EXPECT_EQ(Names(*data, DataSplit::kTrain).size(), 399);
  EXPECT_EQ(data->class_names().size(), 10);
  EXPECT_EQ(data->native_size(), 32);
}

TEST_F(SelectSamplesTest, OneLimitHoldsForAllClasses) {
  Limit({7});
  EXPECT_THAT(ClassCounts(*Open(), DataSplit::kTrain), Each(7));
}

TEST_F(SelectSamplesTest, SelectedSamplesAreTheSourcesOwn) {
  const DataSetPtr all = Open();
  Limit({3});
  const DataSetPtr data = Open();
  for (int64_t i = 0; i < data->size(DataSplit::kTrain); ++i) {
    int64_t same = 0;
    while (all->name(DataSplit::kTrain, same) != data->name(DataSplit::kTrain, i)) ++same;
    EXPECT_EQ(data->label(DataSplit::kTrain, i), all->label(DataSplit::kTrain, same));
    EXPECT_EQ(
        MaxDifference(*data->Load(DataSplit::kTrain, i, 0), *all->Load(DataSplit::kTrain, same, 0)),
        0);
  }
}

TEST_F(SelectSamplesTest, TheChoiceIsDrawnBySplitSeed) {
  Limit({10});
  const auto chosen = Names(*Open(), DataSplit::kTrain);
  EXPECT_EQ(Names(*Open(), DataSplit::kTrain), chosen);
  // Not the first ten of each class.
  EXPECT_GT(std::count_if(chosen.begin(), chosen.end(),
                          [](const std::string& name) {
                            return std::stoi(name.substr(name.rfind(':') + 1)) >= 100;
                          }),
            50);
  config_.set_split_seed(1);
  EXPECT_NE(Names(*Open(), DataSplit::kTrain), chosen);
}

TEST_F(SelectSamplesTest, FewerAreAmongMore) {
  Limit({10});
  const auto ten = Names(*Open(), DataSplit::kTrain);
  Limit({30});
  const auto thirty = Names(*Open(), DataSplit::kTrain);
  EXPECT_TRUE(std::includes(thirty.begin(), thirty.end(), ten.begin(), ten.end()));
}

TEST_F(SelectSamplesTest, FingerprintFollowsTheChoice) {
  const std::string whole = Open()->fingerprint();
  Limit({0});
  EXPECT_EQ(Open()->fingerprint(), whole);
  Limit({50});  // each class has 50
  const std::string fifty = Open()->fingerprint();
  Limit({10});
  const std::string ten = Open()->fingerprint();
  EXPECT_NE(ten, fifty);
  EXPECT_EQ(Open()->fingerprint(), ten);
  config_.set_split_seed(1);
  EXPECT_NE(Open()->fingerprint(), ten);
}

TEST_F(SelectSamplesTest, ALimitForAClassThatIsNotThereIsAnError) {
  Limit({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  EXPECT_THAT(OpenError(), HasSubstr("data.per_class_limit has 11 numbers for 10 classes (arrow to "
                                     "triangle); give one for all classes"));
  Limit({1, 2});
  EXPECT_THAT(OpenError(), HasSubstr("data.per_class_limit has 2 numbers for 10 classes"));
}

TEST_F(SelectSamplesTest, HeldOutImagesAreAPartOfEachClass) {
  const auto own = Names(*Open(), DataSplit::kValidation);
  config_.set_validation_split(vit::v1::VALIDATION_SPLIT_HELD_OUT);
  config_.set_validation_fraction(0.2);
  const DataSetPtr data = Open();
  EXPECT_THAT(ClassCounts(*data, DataSplit::kTrain), Each(40));
  EXPECT_THAT(ClassCounts(*data, DataSplit::kValidation), Each(10));
  auto all = Names(*data, DataSplit::kTrain);
  for (const std::string& name : Names(*data, DataSplit::kValidation)) {
    EXPECT_TRUE(all.insert(name).second) << name << " is in both";
    EXPECT_FALSE(own.contains(name));
  }
  EXPECT_EQ(all.size(), 500);
}

TEST_F(SelectSamplesTest, SplitSeedDrawsAnotherPartAndAnotherFingerprint) {
  config_.set_validation_split(vit::v1::VALIDATION_SPLIT_HELD_OUT);
  const DataSetPtr data = Open();
  EXPECT_EQ(Open()->fingerprint(), data->fingerprint());
  EXPECT_EQ(Names(*Open(), DataSplit::kValidation), Names(*data, DataSplit::kValidation));
  config_.set_split_seed(1);
  EXPECT_NE(Open()->fingerprint(), data->fingerprint());
  EXPECT_NE(Names(*Open(), DataSplit::kValidation), Names(*data, DataSplit::kValidation));
}

TEST_F(SelectSamplesTest, FoldsShareTheTrainingImagesOut) {
  config_.mutable_shapes()->set_train_size(147);  // 15 of some classes, 14 of others
  config_.set_folds(4);
  std::set<std::string> seen, fingerprints;
  for (int fold = 0; fold < 4; ++fold) {
    config_.set_fold(fold);
    const DataSetPtr data = Open();
    const int64_t size = data->size(DataSplit::kValidation);
    EXPECT_TRUE(size == 36 || size == 37) << size;
    EXPECT_EQ(data->size(DataSplit::kTrain), 147 - size);
    for (const int64_t count : ClassCounts(*data, DataSplit::kValidation)) {
      EXPECT_TRUE(count == 3 || count == 4) << count;
    }
    for (const std::string& name : Names(*data, DataSplit::kValidation)) {
      EXPECT_TRUE(seen.insert(name).second) << name << " is in two folds";
      EXPECT_FALSE(Names(*data, DataSplit::kTrain).contains(name));
    }
    fingerprints.insert(data->fingerprint());
  }
  EXPECT_EQ(seen.size(), 147);
  EXPECT_EQ(fingerprints.size(), 4);
}

TEST_F(SelectSamplesTest, MoreFoldsThanImagesIsAnError) {
  config_.mutable_shapes()->set_train_size(9);
  config_.set_folds(10);
  EXPECT_THAT(OpenError(), HasSubstr("data.folds is 10, but there are only 9 training images"));
}

TEST_F(SelectSamplesTest, LimitsCutWhatIsLeftAfterHoldingOut) {
  config_.set_folds(5);
  config_.set_fold(2);
  Limit({6});
  const DataSetPtr data = Open();
  EXPECT_THAT(ClassCounts(*data, DataSplit::kTrain), Each(6));
  EXPECT_THAT(ClassCounts(*data, DataSplit::kValidation), Each(10));
}

TEST_F(SelectSamplesTest, AFoldersOwnValidationCanBeLeftUnseen) {
  const std::string image = Encode(SmoothImage(8, 6), ".png");
  for (int i = 0; i < 10; ++i) folder_.Write(absl::StrCat("train/a/", i, ".png"), image);
  folder_.Write("val/a/own.png", image);
  config_.set_source("folder:" + folder_.root());
  EXPECT_EQ(Open()->size(DataSplit::kValidation), 1);
  config_.set_validation_split(vit::v1::VALIDATION_SPLIT_HELD_OUT);
  config_.set_validation_fraction(0.3);
  const DataSetPtr data = Open();
  EXPECT_EQ(data->size(DataSplit::kTrain), 7);
  EXPECT_EQ(data->size(DataSplit::kValidation), 3);
  for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
    for (const std::string& name : Names(*data, split)) EXPECT_THAT(name, HasSubstr("/train/a/"));
  }
}

// Runs of earlier versions continue with the split that they had.
TEST_F(SelectSamplesTest, AFoldersSplitAndFingerprintAreWhatTheyWere) {
  for (int i = 0; i < 30; ++i) {
    folder_.Write(absl::StrCat(i < 21 ? "a/" : "b/", 100 + i, ".png"), std::string(i, 'x'));
  }
  config_.set_source("folder:" + folder_.root());
  const DataSetPtr data = Open();
  EXPECT_EQ(data->fingerprint(), "0ea5375ec3bf5217");
  std::vector<std::string> held_out;
  for (const std::string& name : Names(*data, DataSplit::kValidation)) {
    held_out.push_back(name.substr(folder_.root().size() + 1));
  }
  EXPECT_THAT(held_out, ElementsAre("a/105.png", "a/118.png", "b/125.png"));
}

TEST_F(SelectSamplesTest, FoldersAreCutToo) {
  const std::string image = Encode(SmoothImage(8, 6), ".png");
  for (int i = 0; i < 20; ++i) {
    folder_.Write(absl::StrCat(i < 12 ? "a/" : "b/", i, ".png"), image);
  }
  config_.set_source("folder:" + folder_.root());
  Limit({5, 100});
  const DataSetPtr data = Open();
  EXPECT_THAT(ClassCounts(*data, DataSplit::kTrain), ElementsAre(5, 7));
  EXPECT_THAT(ClassCounts(*data, DataSplit::kValidation), ElementsAre(1, 1));
}

}  // namespace
}  // namespace vit
