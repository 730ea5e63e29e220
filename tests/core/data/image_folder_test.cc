// folder:PATH in practice: names of splits, nested images, links, other files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/data/dataset.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using DataSetPtr = std::shared_ptr<const DataSet>;

class ImageFolderTest : public ::testing::Test {
 protected:
  absl::StatusOr<DataSetPtr> Open() {
    vit::v1::DataConfig config;
    config.set_source("folder:" + folder_.root());
    return DataSet::OpenWhole(config, {.data_roots = {folder_.root()}});
  }
  std::string OpenError(absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = Open().status();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }
  // Opens it and returns its samples as "cat/1.png".
  std::vector<std::string> Names(DataSplit split = DataSplit::kTrain) {
    const auto data = Open();
    EXPECT_TRUE(data.ok()) << data.status();
    std::vector<std::string> names;
    for (int64_t i = 0; data.ok() && i < (*data)->size(split); ++i) {
      names.push_back((*data)->name(split, i).substr(folder_.root().size() + 1));
    }
    return names;
  }
  std::vector<std::string> Classes() {
    const auto data = Open();
    EXPECT_TRUE(data.ok()) << data.status();
    return data.ok() ? (*data)->class_names() : std::vector<std::string>{};
  }
  std::vector<std::string> Notes() {
    const auto data = Open();
    EXPECT_TRUE(data.ok()) << data.status();
    return data.ok() ? DataNotes((*data)->facts()) : std::vector<std::string>{};
  }
  // Writes files with an image's bytes; names are separated by blanks.
  void Write(absl::string_view files) {
    for (const absl::string_view file : absl::StrSplit(files, ' ')) {
      folder_.Write(std::string(file), image_);
    }
  }
  void Remove(const std::string& path) { fs::remove_all(folder_.path() / path); }

  const std::string image_ = Encode(SmoothImage(8, 6), ".png");
  TemporaryFolder folder_;
};

TEST_F(ImageFolderTest, EveryNameOfValidationIsTakenBeforeTest) {
  Write("Train/cat/1.png test/cat/2.png");
  EXPECT_THAT(Names(DataSplit::kValidation), ElementsAre("test/cat/2.png"));
  EXPECT_THAT(Notes(),
              ElementsAre(HasSubstr("test/ is the source's validation split, as there is no")));
  for (const std::string name : {"val", "valid", "validation", "dev", "VAL", "Valid"}) {
    Write(absl::StrCat(name, "/cat/3.png"));
    EXPECT_THAT(Names(DataSplit::kValidation), ElementsAre(name + "/cat/3.png"));
    EXPECT_THAT(Notes(), ElementsAre(name + "/ is the source's validation split",
                                     "not used: test/ beside Train/"));
    Remove(name);
  }
}

TEST_F(ImageFolderTest, TwoFoldersForOneSplitAreAnError) {
  Write("train/cat/1.png val/cat/2.png valid/cat/3.png");
  EXPECT_THAT(OpenError(), AllOf(HasSubstr("both val/ and valid/"), HasSubstr("rename or remove")));
  Remove("valid");
  EXPECT_THAT(Names(DataSplit::kValidation), ElementsAre("val/cat/2.png"));
  Write("Train/cat/1.png");
  EXPECT_THAT(OpenError(), HasSubstr("both Train/ and train/"));
  Remove("Train");
  Remove("val");
  Write("test/cat/1.png Test/cat/1.png");
  EXPECT_THAT(OpenError(), HasSubstr("both Test/ and test/"));
}

TEST_F(ImageFolderTest, ATestFolderWithoutClassesIsNotUsed) {
  Write("train/cat/1.png train/dog/2.png test/1.png test/2.png");
  EXPECT_THAT(Names(DataSplit::kValidation), IsEmpty());
  EXPECT_THAT(Notes(), ElementsAre("not used: test/ beside train/"));
}

TEST_F(ImageFolderTest, ClassesMayBeCalledAsSplitsAre) {
  Write("bus/1.png car/1.png train/1.png");
  EXPECT_THAT(Classes(), ElementsAre("bus", "car", "train"));
  Write("val/1.png");
  EXPECT_THAT(Classes(), ElementsAre("bus", "car", "train", "val"));
  Remove("train");
  EXPECT_THAT(Classes(), ElementsAre("bus", "car", "val"));
}

TEST_F(ImageFolderTest, ClassesOfNestedImagesMayBeCalledTest) {
  Write("control/subject1/1.png control/subject2/1.png test/subject3/1.png");
  EXPECT_THAT(Classes(), ElementsAre("control", "test"));
}

TEST_F(ImageFolderTest, WhatCouldBeASplitOrAClassIsAnErrorWithTheWayOut) {
  // A split beside a folder of other images, or three classes, one with nested images?
  Write("train/cat/1.png train/dog/1.png bus/1.png");
  EXPECT_THAT(OpenError(), AllOf(HasSubstr("train/, which contains folders like a split"),
                                 HasSubstr("bus/, which contains images like a class"),
                                 HasSubstr("folder:" + folder_.root() + "/train")));
  // A validation split of the same classes decides it.
  Write("val/cat/1.png");
  EXPECT_THAT(Classes(), ElementsAre("cat", "dog"));
  EXPECT_THAT(Notes(), Contains("not used: bus/ beside train/"));
  // An image among the class folders does not make train/ a class either; it is counted.
  Remove("bus");
  Remove("val");
  Write("train/stray.png");
  EXPECT_THAT(Classes(), ElementsAre("cat", "dog"));
  EXPECT_THAT(Notes(), ElementsAre(HasSubstr("1 file (an image outside of the class folders)")));
  // Beside classes it is a class itself: it holds images like them.
  Write("bus/1.png");
  EXPECT_THAT(Classes(), ElementsAre("bus", "train"));
  EXPECT_THAT(Names(),
              ElementsAre("bus/1.png", "train/cat/1.png", "train/dog/1.png", "train/stray.png"));
}

TEST_F(ImageFolderTest, AValidationSplitWithoutTrainIsAnError) {
  Write("cat/1.png dog/1.png val/cat/1.png val/dog/1.png");
  EXPECT_THAT(OpenError(), HasSubstr("has val/ but no train/"));
  Remove("val");
  EXPECT_THAT(Classes(), ElementsAre("cat", "dog"));
}

TEST_F(ImageFolderTest, SplitsWithoutClassFoldersAreAnError) {
  Write("train/1.png train/2.png test/1.png");
  EXPECT_THAT(OpenError(),
              AllOf(HasSubstr("no class folders under"), HasSubstr("holds only train/, test/"),
                    HasSubstr("expected train/<class>/*.jpg"), HasSubstr("csv:")));
  // Without a training split they can only be classes.
  Remove("train");
  Write("dev/1.png");
  EXPECT_THAT(Classes(), ElementsAre("dev", "test"));
}

TEST_F(ImageFolderTest, DescendsIntoFoldersOfAClass) {
  Write("cat/y.png cat/a/b/x.png cat/a.png dog/2024/01/z.png");
  EXPECT_THAT(Names(), ElementsAre("cat/a.png", "cat/a/b/x.png", "cat/y.png", "dog/2024/01/z.png"));
  const auto data = Open();
  EXPECT_TRUE((*data)->Load(DataSplit::kTrain, 1).ok());
}

TEST_F(ImageFolderTest, LinksThatLeadInACircleEnd) {
  Write("cat/a/1.png dog/1.png");
  fs::create_directory_symlink(folder_.path() / "cat", folder_.path() / "cat/a/up");
  fs::create_directory_symlink(folder_.path() / "dog", folder_.path() / "cat/dogs");
  EXPECT_THAT(Names(), ElementsAre("cat/a/1.png", "cat/dogs/1.png", "dog/1.png"));
  EXPECT_THAT(Notes(), ElementsAre(HasSubstr("a link to a folder that is already listed")));
}

TEST_F(ImageFolderTest, FoldersWithoutEndAreAnError) {
  std::string path = "cat";
  for (int i = 0; i < 64; ++i) path += "/d";
  Write(path + "/1.png");
  EXPECT_EQ(Names().size(), 1);
  Write(path + "/d/1.png");
  EXPECT_THAT(OpenError(), HasSubstr("64 folders below its class"));
}

TEST_F(ImageFolderTest, NumbersAreOrderedAsNumbers) {
  Write("0/1.png 1/1.png 2/1.png 10/1.png");
  EXPECT_THAT(Classes(), ElementsAre("0", "1", "2", "10"));
  EXPECT_EQ((*Open())->label(DataSplit::kTrain, 3), 2);  // in the folders' order
}

TEST_F(ImageFolderTest, ClassNamesAreComparedAsTheyRead) {
  const std::string composed = "Caf\xC3\xA9", decomposed = "Cafe\xCC\x81";
  folder_.Write("train/" + composed + "/1.png", image_);
  folder_.Write("train/dog /1.png", image_);
  folder_.Write("val/" + decomposed + "/1.png", image_);
  folder_.Write("val/dog/1.png", image_);
  EXPECT_THAT(Classes(), ElementsAre(composed, "dog"));
  EXPECT_EQ(Names(DataSplit::kValidation).size(), 2);
  folder_.Write("train/" + decomposed + "/1.png", image_);
  EXPECT_THAT(OpenError(), AllOf(HasSubstr("look the same"), HasSubstr("Caf\\303\\251"),
                                 HasSubstr("Cafe\\314\\201")));
}

TEST_F(ImageFolderTest, ALinkThatLeadsNowhereIsOneUnreadableImage) {
  const TemporaryFolder outside;
  outside.Write("1.png", image_);
  Write("cat/1.png");
  fs::create_symlink("gone.jpg", folder_.path() / "cat/2.jpg");
  fs::create_symlink(outside.path() / "1.png", folder_.path() / "cat/3.png");
  fs::create_symlink("4.png", folder_.path() / "cat/4.png");  // to itself
  // Not images by name.
  fs::create_symlink("gone", folder_.path() / "cat/5.txt");
  fs::create_symlink("/etc/hostname", folder_.path() / "notes");
  EXPECT_THAT(Names(), ElementsAre("cat/1.png", "cat/2.jpg", "cat/3.png", "cat/4.png"));
  EXPECT_THAT(Notes(), ElementsAre(HasSubstr("2 files (a link that cannot be followed)")));
  const auto data = *Open();
  EXPECT_TRUE(data->Load(DataSplit::kTrain, 0).ok());
  EXPECT_EQ(data->Load(DataSplit::kTrain, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(data->Load(DataSplit::kTrain, 2).status().message()),
              HasSubstr("which is not under a data root"));
  EXPECT_FALSE(data->Load(DataSplit::kTrain, 3).ok());
}

TEST_F(ImageFolderTest, WhatSystemsPutBesideIsIgnored) {
  Write(
      "cat/1.png dog/1.png cat/.DS_Store cat/Thumbs.db cat/@eaDir/1.png __MACOSX/cat/1.png "
      ".ipynb_checkpoints/1.png dog/.ipynb_checkpoints/1.png");
  fs::create_directory(folder_.path() / "lost+found");
  fs::permissions(folder_.path() / "lost+found", fs::perms::none);
  EXPECT_THAT(Names(), ElementsAre("cat/1.png", "dog/1.png"));
  EXPECT_THAT(Notes(), IsEmpty());
}

TEST_F(ImageFolderTest, ImagesAreToldByTheirContentAndTheRestIsCounted) {
  Write("cat/1.png cat/2 cat/3.PNG_large cat/4.bin cat/readme");
  folder_.Write("cat/readme", "BMP files and others");
  folder_.Write("cat/empty", "");
  folder_.Write("cat/a.gif", "GIF89a rest");
  folder_.Write("cat/b.gif", "GIF87a rest");
  folder_.Write("cat/c.tif", absl::string_view("II*\0rest", 8));
  const std::string zeros(4, '\0');
  folder_.Write("cat/d.avif", zeros.substr(1) + "\x1C" + "ftypavif" + zeros + "avifmif1miaf");
  folder_.Write("cat/e.heic", zeros.substr(1) + "\x14" + "ftypheic" + zeros + "mif1");
  folder_.Write("cat/f.webp", absl::string_view("RIFF\x64\0\0\0WEBPVP8X\x0A\0\0\0\x02\0\0\0", 24));
  folder_.Write("cat/g.jpg", "no image, but named so");
  ASSERT_EQ(mkfifo((folder_.path() / "cat/h").c_str(), 0600), 0);
  EXPECT_THAT(Names(),
              ElementsAre("cat/1.png", "cat/2", "cat/3.PNG_large", "cat/4.bin", "cat/g.jpg"));
  std::vector<std::string> counts;
  const DataSetPtr data = *Open();
  for (const PassedOver& files : data->facts().passed_over) {
    counts.push_back(absl::StrCat(files.count, " ", files.kind, ": ",
                                  files.example.substr(folder_.root().size() + 1)));
  }
  EXPECT_THAT(counts, UnorderedElementsAre(
                          "2 GIF: cat/a.gif", "1 TIFF: cat/c.tif", "1 AVIF: cat/d.avif",
                          "1 HEIC: cat/e.heic", "1 animated WebP: cat/f.webp",
                          "2 not an image: cat/empty", "1 neither file nor folder: cat/h"));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(data->Load(DataSplit::kTrain, i).ok()) << i;
}

TEST_F(ImageFolderTest, AFolderOfOtherFormatsAloneSaysWhatItHolds) {
  Write("cat/1.png");
  folder_.Write("dog/a.gif", "GIF89a rest");
  EXPECT_THAT(OpenError(), HasSubstr("/dog has no images (found 1 GIF); expected JPEG, PNG"));
}

}  // namespace
}  // namespace vit
