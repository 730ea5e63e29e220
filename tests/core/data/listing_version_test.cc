// In listing version 1 a source is, to the bit, what the releases before version 2 saw, so that
// their runs can resume. The expected values come from commit 2c438b9.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/data/dataset.h"
#include "core/data/sources/pack_format.h"
#include "core/data/tools/pack_data.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string TarMember(const std::string& name, const std::string& content) {
  std::string header(512, '\0');
  const auto put = [&](size_t at, const std::string& field) {
    header.replace(at, field.size(), field);
  };
  put(0, name);
  put(124, absl::StrFormat("%011o", content.size()));
  put(148, "        ");
  put(156, "0");
  put(257, std::string("ustar\00000", 8));
  int sum = 0;
  for (const char c : header) sum += static_cast<uint8_t>(c);
  put(148, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
  std::string padded = content;
  padded.resize((content.size() + 511) / 512 * 512);
  return header + padded;
}

class ListingVersionTest : public ::testing::Test {
 protected:
  // The fingerprint, the class names in order, each sample as "train/1.jpg=cat", validation samples
  // after a "|".
  std::vector<std::string> List(const std::string& source, int version) {
    vit::v1::DataConfig config;
    config.set_source(source);
    config.set_listing_version(version);
    const auto data = DataSet::Open(config, {.data_roots = {folder_.root()}});
    if (!data.ok()) return {std::string(data.status().message())};
    std::vector<std::string> listed = {(*data)->fingerprint()};
    for (const std::string& name : (*data)->class_names()) listed.push_back(name);
    for (const DataSplit split : {DataSplit::kTrain, DataSplit::kValidation}) {
      listed.emplace_back("|");
      for (int64_t i = 0; i < (*data)->size(split); ++i) {
        listed.push_back(absl::StrCat((*data)->name(split, i).substr(folder_.root().size() + 1),
                                      "=", (*data)->class_names()[(*data)->label(split, i)]));
      }
    }
    return listed;
  }
  std::string Path(const std::string& name) const { return folder_.root() + "/" + name; }

  TemporaryFolder folder_;
};

TEST_F(ListingVersionTest, Folder) {
  for (const char* file :
       {"train/0/a.jpg", "train/10/b.jpg", "train/10/c.JPEG", "train/2/d.png", "train/2/e.jfif",
        "train/2/sub/f.jpg", "train/e /g.jpg", "train/@eaDir/h.jpg", "train/2/notes.txt",
        "train/i.jpg", "valid/0/j.jpg", "test/10/k.webp", "test/2/l.jpg", "raw/m.jpg"}) {
    folder_.Write(file, file);
  }
  EXPECT_THAT(List("folder:" + folder_.root(), 1),
              ElementsAre("6d5e92e7033c5ec9", "0", "10", "2", "@eaDir", "e ", "|",
                          "train/0/a.jpg=0", "train/10/b.jpg=10", "train/10/c.JPEG=10",
                          "train/2/d.png=2", "train/@eaDir/h.jpg=@eaDir", "train/e /g.jpg=e ", "|",
                          "test/10/k.webp=10", "test/2/l.jpg=2"));
  EXPECT_THAT(List("folder:" + folder_.root(), 2),
              ElementsAre(_, "0", "10", "2", "e", "|", "train/0/a.jpg=0", "train/10/b.jpg=10",
                          "train/10/c.JPEG=10", "train/2/d.png=2", "train/2/e.jfif=2",
                          "train/2/sub/f.jpg=2", "train/e /g.jpg=e", "|", "valid/0/j.jpg=0"));
}

TEST_F(ListingVersionTest, FolderWithoutSplits) {
  for (int i = 0; i < 12; ++i) {
    for (int j = 0; j < 3; ++j) {
      folder_.Write(absl::StrCat(i, "/", j, ".png"), absl::StrCat("image ", i, j));
    }
  }
  std::vector<std::string> listed = List("folder:" + folder_.root(), 1);
  ASSERT_EQ(listed.size(), 51);
  EXPECT_EQ(listed.back(), "9/0.png=9");  // held out
  listed.resize(18);
  EXPECT_THAT(listed,
              ElementsAre("7bb616e81862ebc7", "0", "1", "10", "11", "2", "3", "4", "5", "6", "7",
                          "8", "9", "|", "0/0.png=0", "0/1.png=0", "1/0.png=1", "1/2.png=1"));
  listed = List("folder:" + folder_.root(), 2);
  listed.resize(13);
  EXPECT_THAT(listed, ElementsAre(_, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"));
}

TEST_F(ListingVersionTest, Csv) {
  for (const char* file : {"a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"}) folder_.Write(file, file);
  folder_.Write("list.csv",
                "path,class,file,label,Split,split\n"
                "a,1,a.jpg,01,dev,train\n"
                "b,2,b.jpg,2,test,train\n"
                "c,3,c.jpg,10,,train\n"
                "d,4,d.jpg,2 ,,train\n"
                "e,5,e.jpg,2,,validation\n"
                "x,6,none.jpg,7,,test\n");
  EXPECT_THAT(List("csv:" + Path("list.csv"), 1),
              ElementsAre("0e9cf25aa6ad4bd7", "01", "10", "2", "2 ", "|", "a.jpg=01", "b.jpg=2",
                          "c.jpg=10", "d.jpg=2 ", "|", "e.jpg=2"));
  EXPECT_THAT(List("csv:" + Path("list.csv"), 2),
              ElementsAre(HasSubstr("the columns path and file mean the same")));
}

TEST_F(ListingVersionTest, Wds) {
  folder_.Write("training-0.tar", TarMember("s/a.jpg", "a") + TarMember("s/b.jpg", "bb") +
                                      TarMember("s/a.cls", "1") + TarMember("s/b.cls", "2"));
  folder_.Write("dev-0.tar", TarMember("d.jpg", "d") + TarMember("d.json", "{\"label\": 4}") +
                                 TarMember("d.cls", "10") + TarMember("e.txt", "e") +
                                 TarMember("f.1.jpg", "f") + TarMember("g.png", "g") +
                                 TarMember("g.cls", "9"));
  folder_.Write("test-0.tar", TarMember("s/h.png", "h") + TarMember("s/h.cls", "9"));
  EXPECT_THAT(
      List("wds:" + folder_.root(), 1),
      ElementsAre("fe0da5dcdca2dcf0", "10", "9", "s", "|", "dev-0.tar:d=10", "dev-0.tar:g=9",
                  "training-0.tar:s/a=s", "training-0.tar:s/b=s", "|", "test-0.tar:s/h=9"));
  EXPECT_THAT(List("wds:" + folder_.root(), 2),
              ElementsAre(HasSubstr("training-0.tar: sample s/a occurs twice")));
  folder_.Write("x/train/a.tar", TarMember("d.jpg", "d") + TarMember("d.cls", "10"));
  folder_.Write("x/valid/a.tar", TarMember("e.jpg", "d") + TarMember("e.cls", "10"));
  folder_.Write("x/test/a.tar", TarMember("f.jpg", "d") + TarMember("f.cls", "10"));
  EXPECT_THAT(
      List("wds:" + Path("x"), 1),
      ElementsAre("e16e3ad50747fe42", "10", "|", "x/train/a.tar:d=10", "|", "x/test/a.tar:f=10"));
  EXPECT_THAT(List("wds:" + Path("x"), 2),
              ElementsAre(_, "10", "|", "x/train/a.tar:d=10", "|", "x/valid/a.tar:e=10"));
}

// As the releases before version 2 packed a folder with these classes.
TEST_F(ListingVersionTest, Packed) {
  const std::vector<std::string> classes = {"0", "1", "10", "2"};
  PackHeader header;
  header.classes = classes.size();
  header.train_samples = classes.size();
  std::string index, names, images;
  for (const std::string& name : classes) {
    AppendU32(name.size(), &index);
    index += name;
  }
  for (size_t i = 0; i < classes.size(); ++i) {
    const std::string image = absl::StrCat("image of ", classes[i]);
    PackEntry entry;
    entry.offset = kPackPageBytes + images.size();
    entry.size = image.size();
    entry.crc = PackCrc(image);
    entry.label = i;
    entry.name_offset = names.size();
    entry.AppendTo(&index);
    AppendU32(classes[i].size(), &names);
    names += classes[i];
    images += image;
  }
  index += names;
  header.index_offset = kPackPageBytes + images.size();
  header.index_bytes = index.size();
  header.index_crc = PackCrc(index);
  folder_.Write("old.vitpack", header.Serialize() + images + index);
  EXPECT_THAT(List("packed:" + Path("old.vitpack"), 1),
              ElementsAre("e9b30d8807ba2afa", "0", "1", "10", "2", "|", "old.vitpack:0=0",
                          "old.vitpack:1=1", "old.vitpack:10=10", "old.vitpack:2=2", "|"));
  EXPECT_THAT(List("packed:" + Path("old.vitpack"), 2),
              ElementsAre(_, "0", "1", "2", "10", "|", "old.vitpack:0=0", "old.vitpack:1=1",
                          "old.vitpack:10=10", "old.vitpack:2=2", "|"));
}

}  // namespace
}  // namespace vit
