// csv:PATH.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/data/dataset.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

using DataSetPtr = std::shared_ptr<const DataSet>;

class CsvListTest : public ::testing::Test {
 protected:
  CsvListTest() {
    for (const char* name : {"p/1.png", "p/2.png", "p/3.png", "q/4.jpg", "q/5, the \"last\".png"}) {
      folder_.Write(absl::StrCat("set/", name), Encode(SmoothImage(8, 6), ".png"));
    }
  }
  absl::StatusOr<DataSetPtr> Open(const std::string& table) {
    folder_.Write("set/list.csv", table);
    vit::v1::DataConfig config;
    config.set_source("csv:" + folder_.root() + "/set/list.csv");
    return DataSet::Open(config, {.data_roots = {folder_.root()}});
  }
  std::string OpenError(const std::string& table,
                        absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = Open(table).status();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }
  std::vector<std::string> Names(const DataSet& data, DataSplit split) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < data.size(split); ++i) {
      names.push_back(absl::StrCat(data.name(split, i).substr(folder_.root().size() + 5), "=",
                                   data.class_names()[data.label(split, i)]));
    }
    return names;
  }

  TemporaryFolder folder_;
};

TEST_F(CsvListTest, RowsInTheirOrderWithTheirSplits) {
  const auto data = Open(
      "split,file,note,label\n"
      "train,p/2.png,,dog\n"
      "val,p/3.png,\"a, b\",cat\n"
      "train,\"q/5, the \"\"last\"\".png\",,cat\n"
      "validation,p/1.png,,dog\n"
      "test,q/4.jpg,,dog\n");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("cat", "dog"));
  EXPECT_THAT(Names(**data, DataSplit::kTrain),
              ElementsAre("p/2.png=dog", "q/5, the \"last\".png=cat"));
  EXPECT_THAT(Names(**data, DataSplit::kValidation), ElementsAre("p/3.png=cat", "p/1.png=dog"));
  EXPECT_EQ(MaxDifference(*(*data)->Load(DataSplit::kTrain, 1, 0), SmoothImage(8, 6)), 0);
}

TEST_F(CsvListTest, TestRowsServeWhereNoneIsForValidation) {
  const auto data = Open("file,label,split\np/1.png,a,train\np/2.png,a,test\n");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(Names(**data, DataSplit::kValidation), ElementsAre("p/2.png=a"));
}

TEST_F(CsvListTest, WithoutSplitsAPartOfEachClassIsHeldOut) {
  const auto data = Open(absl::StrCat("file,label\n", folder_.root(),
                                      "/set/p/1.png,a\np/2.png,b\np/3.png,a\nq/4.jpg,b\n"));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(ClassCounts(**data, DataSplit::kTrain), ElementsAre(1, 1));
  EXPECT_THAT(ClassCounts(**data, DataSplit::kValidation), ElementsAre(1, 1));
  EXPECT_TRUE((*data)->Load(DataSplit::kTrain, 0, 0).ok());
  EXPECT_TRUE((*data)->Load(DataSplit::kValidation, 0, 0).ok());
}

TEST_F(CsvListTest, LabelsThatAreNumbersAreOrderedAsNumbers) {
  const auto numbers = Open("file,label\np/1.png,10\np/2.png,9\np/3.png,0\n");
  EXPECT_THAT((*numbers)->class_names(), ElementsAre("0", "9", "10"));
  const auto text = Open("file,label\np/1.png,10\np/2.png,9\np/3.png,x\n");
  EXPECT_THAT((*text)->class_names(), ElementsAre("10", "9", "x"));
}

TEST_F(CsvListTest, ErrorsNameTheLine) {
  for (const auto& [table, error] : {
           std::pair{"", "the file is empty; expected"},
           {"place,label\n",
            "line 1: no column named file, filename, path or image (found place, label)"},
           {"file,kind\n", "line 1: no column named label or class (found file, kind)"},
           {"file,file,label\n", "line 1: the columns file and file mean the same"},
           {"Image,label,PATH\n", "line 1: the columns Image and PATH mean the same"},
           {"file,label\n", "no training images among 0 rows"},
           {"file,label,split\np/1.png,a,val\n", "no training images among 1 row"},
           {"file,label\np/1.png,a\n\np/2.png\n", "line 4: 1 field but the first line has 2"},
           {"file,label\np/1.png,a,b\n", "line 2: 3 fields but the first line has 2"},
           {"file,label\np/1.png,\n", "line 2: label is empty"},
           {"file,label\np/1.png,a\tb\n", "line 2: the class name is 'a\\tb'"},
           {"file,label\n,a\n", "line 2: file is empty"},
           {"file,label,split\np/1.png,a,held\n", "line 2: split is 'held'; expected train, val"},
           {"file,label,split\np/1.png,a,train\np/2.png,b,val\n",
            "line 3: no training image has the class 'b'"},
           {"file,label\np,a\n", "line 2: " /* a folder */},
           {"file,label\n\"p/1.png,a\n", "line 2: a quote is opened and never closed"},
       }) {
    EXPECT_THAT(OpenError(table), HasSubstr(error)) << table;
  }
  EXPECT_THAT(OpenError("file,label\np/1.png,a\np/9.png,a\n", absl::StatusCode::kNotFound),
              HasSubstr("line 3"));
}

TEST_F(CsvListTest, FilesLieUnderTheDataRoots) {
  const TemporaryFolder outside;
  outside.Write("1.png", Encode(SmoothImage(8, 6), ".png"));
  const auto denied = absl::StatusCode::kPermissionDenied;
  EXPECT_THAT(OpenError(absl::StrCat("file,label\n", outside.root(), "/1.png,a\n"), denied),
              HasSubstr("line 2"));
  OpenError("file,label\n../../etc/passwd,a\n", denied);
  fs::create_symlink(outside.path(), folder_.path() / "set/away");
  OpenError("file,label\naway/1.png,a\n", denied);
  // A link within the roots is accepted.
  fs::create_symlink(folder_.path() / "set/p", folder_.path() / "set/near");
  EXPECT_TRUE(Open("file,label\nnear/1.png,a\n").ok());
}

TEST_F(CsvListTest, SeparatorsAndHeadingsAsProgramsWriteThem) {
  for (const char* table : {
           "Filename;LABEL;Split\np/1.png;a;Train\np/2.png;b;TRAIN\np/3.png;a;Valid\n",
           "split\tclass\timage\ntraining\ta\tp/1.png\ntrain\tb\tp/2.png\ndev\ta\tp/3.png\n",
           "note; path ; class;split\n\"x;y\";p/1.png; "
           "a;train\n,;p/2.png;b;train\n;p/3.png;a;val\n",
           "image,label,split\rp/1.png,a,train\rp/2.png,b,train\rp/3.png,a,validation\r",
       }) {
    const auto data = Open(table);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_THAT(Names(**data, DataSplit::kTrain), ElementsAre("p/1.png=a", "p/2.png=b")) << table;
    EXPECT_THAT(Names(**data, DataSplit::kValidation), ElementsAre("p/3.png=a")) << table;
  }
}

// Returns `text`, which is ASCII, in UTF-16 with a byte order mark.
std::string Utf16(const std::string& text, bool big_endian) {
  std::string bytes = big_endian ? "\xFE\xFF" : "\xFF\xFE";
  for (const char c : text) {
    bytes += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
  }
  return bytes;
}

TEST_F(CsvListTest, Utf16IsReadOrNamed) {
  const std::string table = "file,label\r\np/1.png,a\r\np/2.png,";
  for (const bool big_endian : {false, true}) {
    const std::string start = Utf16(table, big_endian);
    // U+00E9, then U+1F600 as a surrogate pair.
    const std::string name = big_endian ? std::string("\x00\xE9\xD8\x3D\xDE\x00", 6)
                                        : std::string("\xE9\x00\x3D\xD8\x00\xDE", 6);
    const auto data = Open(start + name);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_THAT((*data)->class_names(), ElementsAre("a", "\xC3\xA9\xF0\x9F\x98\x80"));
    EXPECT_THAT(OpenError(start + name.substr(0, 4)), HasSubstr("UTF-16 is damaged at byte"));
    EXPECT_THAT(OpenError(start + "x"), HasSubstr("UTF-16 is damaged"));
    EXPECT_THAT(OpenError(start.substr(2)), HasSubstr("UTF-16 without a byte order mark"));
  }
}

TEST_F(CsvListTest, NamesWithoutExtensionsAreFoundWhereOneFileFits) {
  const auto data = Open("image,label\np/1,a\nq/4,b\np/3.png,a\n");
  ASSERT_TRUE(data.ok()) << data.status();
  std::vector<std::string> names = Names(**data, DataSplit::kTrain);
  for (const std::string& name : Names(**data, DataSplit::kValidation)) names.push_back(name);
  EXPECT_THAT(names, UnorderedElementsAre("p/1.png=a", "q/4.jpg=b", "p/3.png=a"));
  EXPECT_TRUE((*data)->Load(DataSplit::kTrain, 0).ok());
  folder_.Write("set/p/1.jpg", "another");
  EXPECT_THAT(OpenError("image,label\np/1,a\n"),
              AllOf(HasSubstr("line 2: several files match '1'"), HasSubstr("add the extension")));
  folder_.Write("set/p/1", Encode(SmoothImage(8, 6), ".png"));
  EXPECT_TRUE(Open("image,label\np/1,a\np/2,b\n").ok());
  EXPECT_THAT(OpenError("image,label\np/9,a\n", absl::StatusCode::kNotFound), HasSubstr("line 2"));
}

TEST_F(CsvListTest, ClassNamesAreComparedAsTheyRead) {
  const auto data = Open(
      "file,label,split\np/1.png, "
      "Caf\xC3\xA9,train\np/2.png,dog,train\np/3.png,Cafe\xCC\x81,val\n");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("Caf\xC3\xA9", "dog"));
  EXPECT_THAT(
      OpenError("file,label\np/1.png,dog\np/2.png,dog \n"),
      AllOf(HasSubstr("'dog' (line 2)"), HasSubstr("'dog ' (line 3)"), HasSubstr("look the same")));
}

TEST_F(CsvListTest, ErrorsAreFoundInTheOrderOfTheRows) {
  EXPECT_THAT(
      OpenError("file,label,split\np/9.png,a,train\np/1.png\n", absl::StatusCode::kNotFound),
      HasSubstr("line 2"));
}

TEST_F(CsvListTest, RowsForTestThatAreNotUsedAreNamed) {
  const auto data = Open("file,label,split\np/1.png,a,train\np/2.png,a,dev\nnone.png,b,test\n");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(DataNotes((*data)->facts()), ElementsAre(HasSubstr("not used: the 1 row for test")));
}

TEST_F(CsvListTest, ALinkThatCannotBeFollowedIsOneUnreadableImage) {
  const TemporaryFolder outside;
  outside.Write("1.png", Encode(SmoothImage(8, 6), ".png"));
  fs::create_symlink("none.png", folder_.path() / "set/gone.png");
  fs::create_symlink(outside.path() / "1.png", folder_.path() / "set/away.png");
  const auto data = Open("file,label,split\np/1.png,a,val\ngone.png,a,train\naway.png,a,train\n");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ((*data)->Load(DataSplit::kTrain, 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*data)->Load(DataSplit::kTrain, 1).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE((*data)->Load(DataSplit::kValidation, 0).ok());
}

TEST_F(CsvListTest, FingerprintFollowsRowsAndFiles) {
  const std::string before = (*Open("file,label\np/1.png,a\np/2.png,b\n"))->fingerprint();
  EXPECT_EQ((*Open("label,file\na,p/1.png\nb,p/2.png\n"))->fingerprint(), before);
  EXPECT_NE((*Open("file,label\np/1.png,b\np/2.png,a\n"))->fingerprint(), before);
  EXPECT_NE((*Open("file,label\np/1.png,a\np/3.png,b\n"))->fingerprint(), before);
  folder_.Write("set/p/2.png", "another size");
  EXPECT_NE((*Open("file,label\np/1.png,a\np/2.png,b\n"))->fingerprint(), before);
}

}  // namespace
}  // namespace vit
