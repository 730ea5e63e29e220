#include "core/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using DataSetPtr = std::shared_ptr<const DataSet>;

class DataSetTest : public ::testing::Test {
 protected:
  DataSetTest() { options_.data_roots = {folder_.root()}; }

  absl::StatusOr<DataSetPtr> Open(const std::string& source) {
    config_.set_source(source);
    return DataSet::Open(config_, options_);
  }
  absl::StatusOr<DataSetPtr> OpenFolder() { return Open("folder:" + folder_.root()); }
  std::string OpenError(const std::string& source,
                        absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = Open(source).status();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }
  std::string FolderError(absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    return OpenError("folder:" + folder_.root(), code);
  }
  void WriteClass(const std::string& path, int images) {
    for (int i = 0; i < images; ++i) {
      folder_.Write(absl::StrCat(path, "/", 1000 + i, ".png"), image_);
    }
  }
  std::vector<std::string> Names(const DataSet& data, DataSplit split) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < data.size(split); ++i) {
      names.push_back(data.name(split, i).substr(folder_.root().size() + 1));
    }
    return names;
  }

  const std::string image_ = Encode(SmoothImage(8, 6), ".png");
  TemporaryFolder folder_;
  vit::v1::DataConfig config_;
  DataSetOptions options_;
};

TEST_F(DataSetTest, ClassFoldersAreNamedInUtf8) {
  WriteClass("train/K\303\244fer", 1);
  WriteClass("train/cat", 1);
  EXPECT_TRUE(OpenFolder().ok());
  WriteClass("train/K\344fer", 1);
  EXPECT_THAT(FolderError(), HasSubstr("K\\344fer'; expected text in UTF-8"));
}

TEST_F(DataSetTest, UnknownSourcesNameTheKnownOnes) {
  for (const char* source : {"", "pets", "s3:/bucket", "shapes:easy", "folder:", "folder:data/pets",
                             "cifar10:", "Folder:/data"}) {
    EXPECT_THAT(OpenError(source), HasSubstr("expected shapes:, shapes:hard, folder:PATH"))
        << source;
  }
}

TEST_F(DataSetTest, FolderWithTrainAndVal) {
  WriteClass("train/cat", 2);
  WriteClass("train/Dog", 1);
  WriteClass("val/cat", 1);
  folder_.Write("train/cat/notes.txt", "no image");
  folder_.Write("train/cat/.hidden.png", image_);
  folder_.Write("train/.git/config", "");
  folder_.Write("train/readme", "");
  const auto data = OpenFolder();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("Dog", "cat"));  // by bytes
  EXPECT_THAT(Names(**data, DataSplit::kTrain),
              ElementsAre("train/Dog/1000.png", "train/cat/1000.png", "train/cat/1001.png"));
  EXPECT_THAT(Names(**data, DataSplit::kValidation), ElementsAre("val/cat/1000.png"));
  EXPECT_EQ((*data)->label(DataSplit::kTrain, 0), 0);
  EXPECT_EQ((*data)->label(DataSplit::kTrain, 2), 1);
  EXPECT_EQ((*data)->label(DataSplit::kValidation, 0), 1);
  EXPECT_EQ((*data)->native_size(), 0);
  const auto image = (*data)->Load(DataSplit::kValidation, 0, 0);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(MaxDifference(*image, SmoothImage(8, 6)), 0);
}

TEST_F(DataSetTest, TestAndValidationFoldersServeToo) {
  WriteClass("train/a", 1);
  WriteClass("test/a", 2);
  EXPECT_EQ((*OpenFolder())->size(DataSplit::kValidation), 2);
  WriteClass("validation/a", 3);
  EXPECT_EQ((*OpenFolder())->size(DataSplit::kValidation), 3);
}

TEST_F(DataSetTest, ExtensionsInAnyCase) {
  for (const char* name :
       {"1.jpg", "2.JPG", "3.jpeg", "4.JPEG", "5.png", "6.Webp", "7.bmp", "8.gif", "9.tiff", "jpg",
        "10.jpg.txt", "11.jfif", "12.JPE", "13.jpg_large", "14.dib"}) {
    folder_.Write(absl::StrCat("train/a/", name), "x");
  }
  WriteClass("val/a", 1);
  EXPECT_EQ((*OpenFolder())->size(DataSplit::kTrain), 11);
}

TEST_F(DataSetTest, OneTreeIsSplitByClass) {
  WriteClass("a", 40);
  WriteClass("b", 20);
  WriteClass("c", 2);
  WriteClass("d", 1);
  config_.set_validation_fraction(0.25);
  const auto data = OpenFolder();
  ASSERT_TRUE(data.ok()) << data.status();
  std::vector<int> train(4), val(4);
  for (int64_t i = 0; i < (*data)->size(DataSplit::kTrain); ++i) {
    ++train[(*data)->label(DataSplit::kTrain, i)];
  }
  for (int64_t i = 0; i < (*data)->size(DataSplit::kValidation); ++i) {
    ++val[(*data)->label(DataSplit::kValidation, i)];
  }
  EXPECT_THAT(train, ElementsAre(30, 15, 1, 1));
  EXPECT_THAT(val, ElementsAre(10, 5, 1, 0));
  // No image is in both, and none is lost.
  std::set<std::string> names;
  for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
    for (const std::string& name : Names(**data, split)) EXPECT_TRUE(names.insert(name).second);
  }
  EXPECT_EQ(names.size(), 63);
  // Held out at random, not from one end; the same ones every time.
  const auto held_out = Names(**data, DataSplit::kValidation);
  EXPECT_NE(held_out[0], "a/1000.png");
  EXPECT_EQ(Names(**OpenFolder(), DataSplit::kValidation), held_out);
}

TEST_F(DataSetTest, TrainWithoutValIsSplitToo) {
  WriteClass("train/a", 10);
  WriteClass("train/b", 10);
  const auto data = OpenFolder();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ((*data)->size(DataSplit::kTrain), 18);
  EXPECT_EQ((*data)->size(DataSplit::kValidation), 2);
}

TEST_F(DataSetTest, MessagesSayWhatWasFoundAndExpected) {
  EXPECT_THAT(FolderError(), HasSubstr("no class folders under " + folder_.root()));
  folder_.Write("train/1.jpg", "x");
  folder_.Write("train/2.jpg", "x");
  EXPECT_EQ(
      FolderError(),
      absl::StrCat("data folder:", folder_.root(), ": no class folders under ", folder_.root(),
                   "/train (found 0 directories, 2 files); expected train/<class>/*.jpg"));
  WriteClass("train/a", 1);
  fs::create_directories(folder_.path() / "train/b/nested");
  EXPECT_THAT(FolderError(), HasSubstr(absl::StrCat("class folder ", folder_.root(),
                                                    "/train/b has no images (found nothing)")));
  WriteClass("train/b", 1);
  fs::create_directories(folder_.path() / "val");
  EXPECT_THAT(FolderError(), HasSubstr("no class folders under " + folder_.root() + "/val"));
  WriteClass("val/c", 1);
  EXPECT_THAT(FolderError(), HasSubstr("/val/c: no training image has the class 'c'"));
  fs::remove_all(folder_.path() / "train");
  EXPECT_THAT(FolderError(), HasSubstr("has val/ but no train/"));
}

TEST_F(DataSetTest, MissingPathAndPathOutsideTheRoots) {
  EXPECT_THAT(OpenError("folder:" + folder_.root() + "/none", absl::StatusCode::kNotFound),
              HasSubstr("/none"));
  EXPECT_THAT(OpenError("folder:/etc", absl::StatusCode::kPermissionDenied), HasSubstr("/etc"));
  OpenError("cifar10:/etc", absl::StatusCode::kPermissionDenied);
  OpenError("folder:" + folder_.root() + "/../..", absl::StatusCode::kPermissionDenied);
  folder_.Write("file", "x");
  EXPECT_THAT(OpenError("folder:" + folder_.root() + "/file"), HasSubstr("is not a folder"));
}

TEST_F(DataSetTest, LinksMayNotLeadOutsideTheRoots) {
  const TemporaryFolder outside;
  outside.Write("a/1.png", image_);
  WriteClass("inside/a", 1);
  WriteClass("inside/b", 1);
  fs::create_directories(folder_.path() / "set");
  // Within the roots, links to folders and to files are followed.
  fs::create_symlink(folder_.path() / "inside/a", folder_.path() / "set/a");
  fs::create_directories(folder_.path() / "set/b");
  fs::create_symlink("../../inside/b/1000.png", folder_.path() / "set/b/1.png");
  const std::string source = "folder:" + folder_.root() + "/set";
  ASSERT_TRUE(Open(source).ok()) << Open(source).status();
  fs::create_symlink(outside.path() / "a", folder_.path() / "set/c");
  EXPECT_THAT(OpenError(source, absl::StatusCode::kPermissionDenied), HasSubstr("set/c"));
  fs::remove(folder_.path() / "set/c");
  fs::create_symlink(outside.path(), folder_.path() / "away");
  OpenError("folder:" + folder_.root() + "/away", absl::StatusCode::kPermissionDenied);
}

TEST_F(DataSetTest, FingerprintFollowsTheDataNotItsPlace) {
  WriteClass("x/train/a", 3);
  WriteClass("x/val/a", 1);
  fs::copy(folder_.path() / "x", folder_.path() / "y", fs::copy_options::recursive);
  const auto fingerprint = [&](const char* name) {
    return (*Open("folder:" + folder_.root() + "/" + name))->fingerprint();
  };
  const std::string before = fingerprint("x");
  EXPECT_EQ(before.size(), 16);
  EXPECT_EQ(fingerprint("y"), before);
  folder_.Write("y/train/a/1000.png", image_ + "x");  // another size
  EXPECT_NE(fingerprint("y"), before);
  folder_.Write("y/train/a/1000.png", image_);
  EXPECT_EQ(fingerprint("y"), before);
  fs::rename(folder_.path() / "y/train/a/1002.png", folder_.path() / "y/train/a/1003.png");
  EXPECT_NE(fingerprint("y"), before);
  fs::rename(folder_.path() / "y/train/a/1003.png", folder_.path() / "y/train/a/1002.png");
  fs::rename(folder_.path() / "y/train/a", folder_.path() / "y/train/b");
  fs::rename(folder_.path() / "y/val/a", folder_.path() / "y/val/b");
  EXPECT_NE(fingerprint("y"), before);  // another class name
}

TEST_F(DataSetTest, SplitFractionIsPartOfTheFingerprint) {
  WriteClass("a", 10);
  config_.set_validation_fraction(0.2);
  const std::string before = (*OpenFolder())->fingerprint();
  config_.set_validation_fraction(0.3);
  EXPECT_NE((*OpenFolder())->fingerprint(), before);
}

TEST_F(DataSetTest, LimitsHoldForFiles) {
  WriteClass("train/a", 1);
  WriteClass("val/a", 1);
  options_.limits.max_bytes = 10;
  EXPECT_EQ((*OpenFolder())->Load(DataSplit::kTrain, 0, 0).status().code(),
            absl::StatusCode::kResourceExhausted);
  options_.limits.max_bytes = 1 << 20;
  options_.limits.max_pixels = 47;
  EXPECT_EQ((*OpenFolder())->Load(DataSplit::kTrain, 0, 0).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(DataSetTest, OrientationIsAppliedUnlessTurnedOff) {
  folder_.Write("train/a/1.png", WithPngOrientation(image_, 6));
  folder_.Write("val/a/1.png", image_);
  EXPECT_EQ((*OpenFolder())->Load(DataSplit::kTrain, 0, 0)->width, 6);
  config_.set_apply_orientation(false);
  EXPECT_EQ((*OpenFolder())->Load(DataSplit::kTrain, 0, 0)->width, 8);
}

// `count` records; record i has label i mod classes, red i, green i + 1, blue i + 2, and its first
// red pixel 255.
std::string CifarFile(int count, int classes, int first = 0) {
  std::string file;
  for (int i = first; i < first + count; ++i) {
    if (classes == 100) file += static_cast<char>(i % 20);  // the coarse label
    file += static_cast<char>(i % classes);
    for (int c = 0; c < 3; ++c) file += std::string(1024, static_cast<char>(i + c));
    file[file.size() - 3072] = '\xFF';
  }
  return file;
}

class CifarTest : public DataSetTest {
 protected:
  void WriteCifar10(const std::string& prefix = "") {
    for (int i = 1; i <= 5; ++i) {
      folder_.Write(absl::StrCat(prefix, "data_batch_", i, ".bin"), CifarFile(12, 10, 12 * i));
    }
    folder_.Write(prefix + "test_batch.bin", CifarFile(7, 10));
  }
};

TEST_F(CifarTest, ReadsTheTenClasses) {
  WriteCifar10();
  const auto data = Open("cifar10:" + folder_.root());
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ((*data)->size(DataSplit::kTrain), 60);
  EXPECT_EQ((*data)->size(DataSplit::kValidation), 7);
  EXPECT_EQ((*data)->native_size(), 32);
  EXPECT_EQ((*data)->class_names().size(), 10);
  EXPECT_EQ((*data)->class_names()[9], "truck");
  // Sample 14 is record 2 of the second file.
  EXPECT_EQ((*data)->name(DataSplit::kTrain, 14), "data_batch_2.bin:2");
  EXPECT_EQ((*data)->label(DataSplit::kTrain, 14), 26 % 10);
  const auto image = (*data)->Load(DataSplit::kTrain, 14, 0);
  ASSERT_TRUE(image.ok());
  EXPECT_EQ(image->width, 32);
  EXPECT_EQ(image->height, 32);
  EXPECT_THAT(std::vector<int>(image->rgb.begin(), image->rgb.begin() + 6),
              ElementsAre(255, 27, 28, 26, 27, 28));
}

TEST_F(CifarTest, ReadsTheHundredClassesFineLabels) {
  folder_.Write("train.bin", CifarFile(130, 100));
  folder_.Write("test.bin", CifarFile(100, 100));
  const auto data = Open("cifar100:" + folder_.root());
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ((*data)->label(DataSplit::kTrain, 57), 57);
  EXPECT_EQ((*data)->Load(DataSplit::kTrain, 57, 0)->rgb[3], 57);
  const auto& names = (*data)->class_names();
  ASSERT_EQ(names.size(), 100);
  EXPECT_EQ(names.front(), "apple");
  EXPECT_EQ(names.back(), "worm");
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST_F(CifarTest, TakesTheSetsOwnNamesAndItsArchivesFolder) {
  WriteCifar10("cifar-10-batches-bin/");
  folder_.Write("cifar-10-batches-bin/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\r\nh\ni\nj\n\n");
  const auto data = Open("cifar10:" + folder_.root());
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(),
              ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"));
  folder_.Write("cifar-10-batches-bin/batches.meta.txt", "a\nb\n");
  EXPECT_THAT(OpenError("cifar10:" + folder_.root()), HasSubstr("has 2 class names; expected 10"));
}

TEST_F(CifarTest, DamagedFilesAreNamed) {
  WriteCifar10();
  folder_.Write("data_batch_3.bin", CifarFile(12, 10).substr(1));
  EXPECT_THAT(
      OpenError("cifar10:" + folder_.root()),
      HasSubstr("data_batch_3.bin has 36875 bytes, which is not a whole number of records"));
  std::string wrong = CifarFile(12, 10);
  wrong[3073 * 4] = 10;
  folder_.Write("data_batch_3.bin", wrong);
  EXPECT_THAT(OpenError("cifar10:" + folder_.root()),
              HasSubstr("data_batch_3.bin: record 4 has label 10; expected 0 to 9"));
  fs::remove(folder_.path() / "data_batch_3.bin");
  EXPECT_THAT(OpenError("cifar10:" + folder_.root(), absl::StatusCode::kNotFound),
              HasSubstr("no data_batch_3.bin in " + folder_.root()));
}

TEST_F(CifarTest, AFileThatShrinksIsABadImageNotACrash) {
  WriteCifar10();
  const auto data = Open("cifar10:" + folder_.root());
  fs::resize_file(folder_.path() / "test_batch.bin", 5000);
  EXPECT_TRUE((*data)->Load(DataSplit::kValidation, 0, 0).ok());
  EXPECT_EQ((*data)->Load(DataSplit::kValidation, 3, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vit
