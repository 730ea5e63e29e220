// wds:PATH, and the reader of tar archives and patterns behind it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/random.h"
#include "core/data/dataset.h"
#include "core/data/sources/tar/brace_pattern.h"
#include "core/data/sources/tar/tar_reader.h"
#include "tests/core/data/testing.h"

namespace vit {
namespace {
namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using DataSetPtr = std::shared_ptr<const DataSet>;

// Sets `field` of a tar header and corrects its checksum.
void Put(std::string* header, size_t at, absl::string_view field) {
  header->replace(at, field.size(), field.data(), field.size());
  header->replace(148, 8, "        ");
  int sum = 0;
  for (const char c : *header) sum += static_cast<uint8_t>(c);
  header->replace(148, 8, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
}

std::string Header(const std::string& name, size_t size, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  header.replace(257, 8, std::string("ustar\00000", 8));
  header[156] = type;
  Put(&header, 124, absl::StrFormat("%011o", size));
  return header;
}

std::string Padded(std::string content) {
  content.resize((content.size() + 511) / 512 * 512);
  return content;
}

std::string Member(const std::string& name, const std::string& content, char type = '0') {
  return Header(name, content.size(), type) + Padded(content);
}

const std::string kEnd(1024, '\0');

class TarShardsTest : public ::testing::Test {
 protected:
  absl::StatusOr<DataSetPtr> Open(const std::string& path = "") {
    vit::v1::DataConfig config;
    config.set_source(absl::StrCat("wds:", folder_.root(), path));
    return DataSet::Open(config, {.data_roots = {folder_.root()}});
  }
  std::string OpenError(const std::string& path = "",
                        absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = Open(path).status();
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }
  std::vector<std::string> Names(const DataSet& data, DataSplit split) {
    std::vector<std::string> names;
    for (int64_t i = 0; i < data.size(split); ++i) {
      names.push_back(absl::StrCat(data.name(split, i).substr(folder_.root().size() + 1), "=",
                                   data.class_names()[data.label(split, i)]));
    }
    return names;
  }
  // Returns what the reader lists of an archive: "name size", or the error.
  std::vector<std::string> List(const std::string& archive) {
    folder_.Write("list.tar", archive);
    absl::StatusOr<TarReader> reader = TarReader::Open(folder_.path() / "list.tar");
    EXPECT_TRUE(reader.ok());
    std::vector<std::string> listed;
    TarMember member;
    while (true) {
      const absl::StatusOr<bool> any = reader->Next(&member);
      if (!any.ok()) listed.emplace_back(any.status().message());
      if (!any.ok() || !*any) return listed;
      listed.push_back(absl::StrCat(member.name, " ", member.size));
    }
  }
  static std::string TestImage(int seed) { return Encode(SmoothImage(8, 6, seed), ".png"); }

  TemporaryFolder folder_;
};

TEST_F(TarShardsTest, KeysWithClassFiles) {
  folder_.Write("train-000.tar", Member("a0.cls", "1\n") + Member("a0.png", TestImage(0)) +
                                     Member("a0.json", "{}") + Member("a1.png", TestImage(1)) +
                                     Member("a1.cls", "0") + Member("only.json", "{}") + kEnd);
  folder_.Write("train-001.tar", Member("./b/b0.JPG", TestImage(2)) + Member("./b/b0.cls", "10"));
  folder_.Write("val-000.tar", Member("v.png", TestImage(3)) + Member("v.cls", "10") + kEnd);
  folder_.Write("test-000.tar", Member("t.png", TestImage(4)) + Member("t.cls", "99") + kEnd);
  folder_.Write("notes.txt", "");
  const auto data = Open();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("0", "1", "10"));
  EXPECT_THAT(Names(**data, DataSplit::kTrain),
              ElementsAre("train-000.tar:a0=1", "train-000.tar:a1=0", "train-001.tar:b/b0=10"));
  EXPECT_THAT(Names(**data, DataSplit::kValidation), ElementsAre("val-000.tar:v=10"));
  for (int i = 0; i < 3; ++i) {
    const auto image = (*data)->Load(DataSplit::kTrain, i, 0);
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(MaxDifference(*image, SmoothImage(8, 6, i)), 0);
    EXPECT_EQ(*(*data)->ReadEncoded(DataSplit::kTrain, i), TestImage(i));
  }
}

TEST_F(TarShardsTest, ClassesByFolder) {
  folder_.Write("set.tar", Member("train/", "", '5') + Member("train/dog/1.png", TestImage(0)) +
                               Member("train/dog/._1.png", "junk of another system") +
                               Member("train/cat/2.png", TestImage(1)) +
                               Member("train/cat/3.png", TestImage(2)) + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("cat", "dog"));
  EXPECT_THAT(ClassCounts(**data, DataSplit::kTrain), ElementsAre(1, 1));
  EXPECT_THAT(ClassCounts(**data, DataSplit::kValidation), ElementsAre(1, 0));
}

TEST_F(TarShardsTest, PatternsAndSubfolders) {
  for (int i = 0; i < 12; ++i) {
    folder_.Write(absl::StrFormat("x/train/s-%03d.tar", i),
                  Member(absl::StrCat("k", i, ".png"), TestImage(i)) +
                      Member(absl::StrCat("k", i, ".cls"), absl::StrCat(i % 2)) + kEnd);
  }
  folder_.Write("x/validation/s.tar", Member("v.png", TestImage(1)) + Member("v.cls", "1") + kEnd);
  const auto folder = Open("/x");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ((*folder)->size(DataSplit::kTrain), 12);
  EXPECT_EQ((*folder)->size(DataSplit::kValidation), 1);
  const auto pattern = Open("/x/train/s-{002..005}.tar");
  ASSERT_TRUE(pattern.ok()) << pattern.status();
  EXPECT_EQ((*pattern)->size(DataSplit::kTrain) + (*pattern)->size(DataSplit::kValidation), 4);
  // If the folders vary, they give the split.
  folder_.Write("x/validation/s-000.tar",
                Member("w.png", TestImage(1)) + Member("w.cls", "0") + kEnd);
  const auto folders = Open("/x/{train,validation}/s-{000..000}.tar");
  ASSERT_TRUE(folders.ok()) << folders.status();
  EXPECT_EQ((*folders)->size(DataSplit::kTrain), 1);
  EXPECT_EQ((*folders)->size(DataSplit::kValidation), 1);
  EXPECT_THAT(OpenError("/x/train/s-{010..012}.tar", absl::StatusCode::kNotFound),
              HasSubstr("s-012.tar"));
  EXPECT_THAT(OpenError("/x/{train,validation/s.tar"), HasSubstr("an unmatched brace"));
}

TEST_F(TarShardsTest, FilesOfASampleThatAreApartAreAnError) {
  const std::string a = Member("train/a.png", TestImage(0)), a_cls = Member("train/a.cls", "0");
  const std::string b = Member("train/b.png", TestImage(1)), b_cls = Member("train/b.cls", "1");
  folder_.Write("set.tar", a + b + a_cls + b_cls + kEnd);
  EXPECT_THAT(OpenError("/set.tar"), AllOf(HasSubstr("set.tar: sample train/a occurs twice"),
                                           HasSubstr("tar --sort=name")));
  folder_.Write("set.tar", a_cls + b_cls + a + b + kEnd);
  EXPECT_THAT(OpenError("/set.tar"), AllOf(HasSubstr("sample train/a has a .cls file but no image"),
                                           HasSubstr("tar --sort=name")));
  folder_.Write("set.tar", a + b + b_cls + a_cls + kEnd);
  EXPECT_THAT(OpenError("/set.tar"), HasSubstr("sample train/a occurs twice"));
  folder_.Write("set.tar", a + a_cls + b + b_cls + Member("train/c.cls", "1") + kEnd);
  EXPECT_THAT(OpenError("/set.tar"), HasSubstr("sample train/c has a .cls file but no image"));
  folder_.Write("set.tar", a + a_cls + b_cls + b + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("0", "1"));
}

TEST_F(TarShardsTest, KeysWithDotsArePassedOverAndCounted) {
  const std::string plain = Member("p.png", TestImage(0)) + Member("p.cls", "cat");
  folder_.Write("set.tar", plain + Member("a.1.jpg", "x") + Member("a.1.cls", "0") +
                               Member("b.jpg", TestImage(1)) + Member("b.cls", "dog") +
                               Member("a.2.jpg", "x") + Member("x.cls", "cat") +
                               Member("x.input.jpg", "x") + Member("y.input.jpg", "y") +
                               Member("y.cls", "cat") + Member("notes", "text") +
                               Header("z.jpg", 0, '1') + Header("w.jpg", 0, '2') + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ((*data)->size(DataSplit::kTrain) + (*data)->size(DataSplit::kValidation), 2);
  EXPECT_THAT(DataNotes((*data)->facts()),
              ElementsAre(AllOf(HasSubstr("5 files (a dot in the key or two extensions)"),
                                HasSubstr("set.tar:a.1.jpg")),
                          HasSubstr("1 file (not an image), such as"),
                          AllOf(HasSubstr("2 files (a link in an archive)"), HasSubstr("z.jpg"))));
  folder_.Write("set.tar", Member("a.1.jpg", "x") + Member("a.1.cls", "0") + kEnd);
  EXPECT_THAT(OpenError("/set.tar"), AllOf(HasSubstr("no images in the training archives"),
                                           HasSubstr("2 files (a dot in the key")));
}

TEST_F(TarShardsTest, TheLabelOfAJsonFileIsTheClassWhereNoClsFileIs) {
  folder_.Write("set.tar",
                Member("s/a.png", TestImage(0)) + Member("s/a.json", "{\"label\": 7, \"x\": []}") +
                    Member("s/b.json", "{\"label\": \" dog\"}") + Member("s/b.png", TestImage(1)) +
                    Member("s/c.png", TestImage(2)) + Member("s/c.json", "{\"label\": 8}") +
                    Member("s/c.cls", "cat") + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("7", "cat", "dog"));
  for (const auto& [json, error] : {
           std::pair{"{\"label\": [1]}", "neither text nor a whole number"},
           {"{\"label\": 1.5}", "neither text nor a whole number"},
           {"{\"label\": \"\"}", "has an empty label"},
           {"{\"label\": ", "that is not JSON"},
       }) {
    folder_.Write("set.tar", Member("s/a.png", TestImage(0)) + Member("s/a.json", json) + kEnd);
    EXPECT_THAT(OpenError("/set.tar"), AllOf(HasSubstr("sample s/a has"), HasSubstr(error)));
  }
}

TEST_F(TarShardsTest, AnImageWithoutALabelWhereOthersHaveOneIsAnError) {
  const std::string with = Member("s/a.png", TestImage(0)) + Member("s/a.cls", "1");
  folder_.Write("one/train-0.tar", with + Member("s/b.png", TestImage(1)) +
                                       Member("s/b.json", "{\"Label\": 2}") + kEnd);
  EXPECT_THAT(OpenError("/one"), AllOf(HasSubstr("sample s/b has neither a .cls file"),
                                       HasSubstr("sample s/a"), HasSubstr("remove it")));
  // In another archive as well.
  folder_.Write("two/train-0.tar", with + kEnd);
  folder_.Write("two/train-1.tar", Member("s/c.png", TestImage(1)) + kEnd);
  EXPECT_THAT(OpenError("/two"), HasSubstr("train-1.tar: sample s/c has neither"));
  folder_.Write("two/train-1.tar", Member("s/c.png", TestImage(1)) + Member("s/c.cls", "2") + kEnd);
  EXPECT_TRUE(Open("/two").ok());
}

TEST_F(TarShardsTest, ALabelInAJsonFileWithoutAnImageIsAnError) {
  const std::string image = Member("x/a.png", TestImage(0)) + Member("y/b.png", TestImage(1));
  folder_.Write("set.tar", image + Member("m/a.json", "{\"label\": 2}") + kEnd);
  EXPECT_THAT(OpenError("/set.tar"), AllOf(HasSubstr("sample m/a has a .json file but no image"),
                                           HasSubstr("tar --sort=name")));
  // Files that do not give a class are passed over, and counted.
  folder_.Write("set.tar", image + Member("m/a.json", "{\"date\": 2}") + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(DataNotes((*data)->facts()),
              ElementsAre(HasSubstr("(a .json file without an image)")));
}

TEST_F(TarShardsTest, ImagesAreToldByTheirContentToo) {
  folder_.Write("set.tar", Member("cat/a.jfif", TestImage(0)) + Member("cat/b.img", TestImage(1)) +
                               Member("cat/c", TestImage(2)) + Member("cat/d.png", TestImage(3)) +
                               Member("cat/d.mask", TestImage(4)) + Member("cat/e.gif", "GIF89a") +
                               Member("cat/e.cls", "x") + Member("cat/f.txt", "text") +
                               Member("__MACOSX/cat/a.jfif", "junk") + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT((*data)->class_names(), ElementsAre("cat"));
  EXPECT_EQ((*data)->size(DataSplit::kTrain) + (*data)->size(DataSplit::kValidation), 4);
  EXPECT_THAT(DataNotes((*data)->facts()),
              ElementsAre(HasSubstr("(a second image of a sample)"), HasSubstr("(GIF)"),
                          HasSubstr("(not an image)")));
}

TEST_F(TarShardsTest, SplitsByEveryName) {
  const std::string sample = Member("a/1.png", TestImage(0)) + kEnd;
  folder_.Write("x/set-training-0.tar", sample);
  folder_.Write("x/set-dev-0.tar", sample);
  folder_.Write("x/set-testing-0.tar", sample);
  const auto names = Open("/x");
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(Names(**names, DataSplit::kValidation), ElementsAre("x/set-dev-0.tar:a/1=a"));
  EXPECT_THAT((*names)->facts().notes, ElementsAre(HasSubstr("not used: the 1 archive for test")));
  folder_.Write("y/Train/0.tar", sample);
  folder_.Write("y/Valid/0.tar", sample);
  folder_.Write("y/test/0.tar", sample);
  const auto folders = Open("/y");
  ASSERT_TRUE(folders.ok()) << folders.status();
  EXPECT_THAT(Names(**folders, DataSplit::kValidation), ElementsAre("y/Valid/0.tar:a/1=a"));
  folder_.Write("y/val/0.tar", sample);
  EXPECT_THAT(OpenError("/y"), HasSubstr("has both Valid/ and val/"));
}

TEST_F(TarShardsTest, SamplesThatAreWrongAreNamed) {
  const std::string image = TestImage(0);
  for (const auto& [archive, error] : {
           std::pair{Member("a.png", image), "sample a has no class"},
           {Member("a.png", image) + Member("a.jpg", image), "sample a has two images"},
           {Member("a.cls", "1") + Member("a.cls", "2"), "sample a has two .cls files"},
           {Member("a.cls", " \n"), "sample a has an empty .cls file"},
           {Member("a.png", image) + Member("a.cls", "x\ty"), "sample a: the class name is"},
           {Member("a.txt", "x"), "no images in the training archives"},
           {kEnd, "no images in the training archives"},
       }) {
    folder_.Write("set.tar", archive + kEnd);
    EXPECT_THAT(OpenError("/set.tar"), HasSubstr(error));
  }
  folder_.Write("set.tar", Member("a.cls", std::string(300, '1')) + kEnd);
  OpenError("/set.tar", absl::StatusCode::kResourceExhausted);
  folder_.Write("two/train.tar", Member("a/1.png", image) + kEnd);
  folder_.Write("two/val.tar", Member("b/1.png", image) + kEnd);
  EXPECT_THAT(OpenError("/two"),
              HasSubstr("val.tar: sample b/1: no training image has the class 'b'"));
  folder_.Write("none/val.tar", Member("b/1.png", image) + kEnd);
  EXPECT_THAT(OpenError("/none"), HasSubstr("no training archives (found 1 .tar files"));
  OpenError("/away.tar", absl::StatusCode::kNotFound);
  fs::create_symlink("/etc/hostname", folder_.path() / "none/link.tar");
  OpenError("/none", absl::StatusCode::kPermissionDenied);
}

TEST_F(TarShardsTest, AnArchiveThatShrinksIsABadImageNotACrash) {
  folder_.Write("set.tar",
                Member("a/1.png", TestImage(0)) + Member("a/2.png", TestImage(1)) + kEnd);
  const auto data = Open("/set.tar");
  ASSERT_TRUE(data.ok()) << data.status();
  fs::resize_file(folder_.path() / "set.tar", 600);
  EXPECT_EQ((*data)->Load(DataSplit::kTrain, 0, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(TarShardsTest, FingerprintFollowsKeysClassesAndSizes) {
  const auto fingerprint = [&](const std::string& archive) {
    folder_.Write("set.tar", archive + kEnd);
    return (*Open("/set.tar"))->fingerprint();
  };
  const std::string image = TestImage(0);
  const std::string before = fingerprint(Member("a/1.png", image) + Member("b/2.png", image));
  EXPECT_EQ(fingerprint(Member("./a/1.png", image) + Member("b/2.png", image)), before);
  EXPECT_NE(fingerprint(Member("a/3.png", image) + Member("b/2.png", image)), before);
  EXPECT_NE(fingerprint(Member("a/1.png", image) + Member("c/2.png", image)), before);
  EXPECT_NE(fingerprint(Member("a/1.png", image + " ") + Member("b/2.png", image)), before);
}

TEST_F(TarShardsTest, ReadsTheDialectsOfTar) {
  const std::string long_name = std::string(180, 'd') + "/" + std::string(120, 'f') + ".png";
  std::string split_name = Header("1.png", 3);
  Put(&split_name, 345, std::string(100, 'p'));
  std::string base256 = Header("big.png", 0);
  Put(&base256, 124, std::string("\x80\0\0\0\0\0\0\0\0\0\0\x03", 12));
  EXPECT_THAT(List(Member("././@LongLink", long_name + std::string(1, '\0'), 'L') +
                   Member("cut", "abc") + kEnd),
              ElementsAre(long_name + " 3"));
  EXPECT_THAT(List(split_name + Padded("abc")), ElementsAre(std::string(100, 'p') + "/1.png 3"));
  EXPECT_THAT(List(base256 + Padded("abc")), ElementsAre("big.png 3"));
  EXPECT_THAT(List(Member("pax", "16 path=x/y.png\n9 size=3\n", 'x') + Header("cut", 0) +
                   Padded("abc") + Member("z", "")),
              ElementsAre("x/y.png 3", "z 0"));
  EXPECT_THAT(List(Member("g", "18 comment=nothing\n", 'g') + Header("link", 7, '2') +
                   Header("dev", 0, '3') + Member("old/", "") + Member("f", "abc", '\0')),
              ElementsAre("f 3"));
  EXPECT_THAT(List(""), ElementsAre());
}

TEST_F(TarShardsTest, HostileArchivesAreRefused) {
  std::string negative = Header("a", 0);
  Put(&negative, 124, std::string(12, '\xFF'));
  std::string letters = Header("a", 0);
  Put(&letters, 124, "0000000000x");
  std::string flipped = Member("a.png", "abc");
  flipped[3] ^= 1;
  for (const auto& [archive, error] : {
           std::pair{std::string("\x1F\x8B\x08") + std::string(600, 'x'),
                     "is compressed with gzip"},
           {std::string("\x28\xB5\x2F\xFD") + std::string(600, 'x'), "is compressed with zstd"},
           {std::string(600, 'x'), "this is not a tar header"},
           {flipped, "at byte 0, this is not a tar header (its checksum is wrong)"},
           {Member("a", "abc") + Header("b", 0).substr(0, 300), "at byte 1024, the archive is cut"},
           {Header("a", 3), "a member of 3 bytes goes beyond the file's end (512 bytes)"},
           {Header("a", size_t{077777777777}), "goes beyond the file's end"},
           {negative, "far too large"},
           {letters, "the header's size is not a number"},
           {Member("a", "abc", 'S'), "a sparse file"},
           {Member("x", "99999 path=a\n", 'x') + Member("a", ""), "an extended header is damaged"},
           {Member("x", "0 path=a\n", 'x') + Member("a", ""), "an extended header is damaged"},
           {Member("x", "7 path\n", 'x') + Member("a", ""), "an extended header is damaged"},
           {Member("x", "11 size=-1\n", 'x') + Member("a", ""), "size is not a number"},
           {Member("x", "23 size=99999999999999\n", 'x') + Member("a", ""),
            "beyond the file's end"},
           {Member("x", "22 GNU.sparse.major=1\n", 'x') + Member("a", ""), "a sparse file"},
           {Header("x", 2 << 20, 'x') + std::string(2 << 20, 'x'), "far too large"},
       }) {
    EXPECT_THAT(List(archive), Contains(HasSubstr(error)));
  }
}

// No mutation of an archive makes the reader fail other than with a status, or name bytes that are
// not there.
TEST_F(TarShardsTest, DamagedArchivesNeverLeadBeyondTheFile) {
  const std::string whole = Member("pax", "16 path=x/y.png\n9 size=3\n", 'x') + Header("cut", 0) +
                            Padded("abc") + Member("././@LongLink", "long.png", 'L') +
                            Member("b", "content") + kEnd;
  for (uint64_t i = 0; i < 400; ++i) {
    CounterRandom random(1, RandomPurpose::kInit, 0, i);
    std::string archive = whole;
    for (uint64_t changes = 1 + random.UniformInt(4); changes > 0; --changes) {
      // Only headers, as most bytes are padding.
      const size_t header = 512 * random.UniformInt(archive.size() / 512);
      const size_t at = header + (random.Bernoulli(0.5) ? 124 : 0) + random.UniformInt(40);
      archive[at] = static_cast<char>(random.UniformInt(256));
      std::string mended = archive.substr(header, 512);
      Put(&mended, 0, mended.substr(0, 1));
      archive.replace(header, 512, mended);
    }
    if (random.Bernoulli(0.3)) archive.resize(random.UniformInt(archive.size()));
    folder_.Write("list.tar", archive);
    absl::StatusOr<TarReader> reader = TarReader::Open(folder_.path() / "list.tar");
    TarMember member;
    for (int members = 0; members < 20; ++members) {
      const absl::StatusOr<bool> any = reader->Next(&member);
      if (!any.ok() || !*any) break;
      ASSERT_GE(member.size, 0);
      ASSERT_LE(member.offset + member.size, static_cast<int64_t>(archive.size()));
      ASSERT_EQ(reader->Read(member, 1 << 20)->size(), member.size);
    }
  }
}

TEST(ExpandBracesTest, NumbersAndChoices) {
  EXPECT_THAT(*ExpandBraces("plain.tar"), ElementsAre("plain.tar"));
  EXPECT_THAT(*ExpandBraces("a-{008..010}.tar"),
              ElementsAre("a-008.tar", "a-009.tar", "a-010.tar"));
  EXPECT_THAT(*ExpandBraces("{train,val}-{0..1}"),
              ElementsAre("train-0", "train-1", "val-0", "val-1"));
  EXPECT_EQ(ExpandBraces("{1..100000}")->size(), 100000);
}

TEST(ExpandBracesTest, WhatIsNoSeriesIsAnError) {
  for (const auto& [pattern, error] : {
           std::pair{"a{", "an unmatched brace"},
           {"a}", "an unmatched brace"},
           {"{a,{b,c}}", "an unmatched brace"},
           {"{}", "is not a series"},
           {"{a}", "is not a series"},
           {"{3..1}", "not a series of rising numbers"},
           {"{a..c}", "not a series of rising numbers"},
           {"{1..2..3}", "not a series of rising numbers"},
           {"{0..999999999}", "more than 100000 names"},
           {"{0..999}{0..999}", "more than 100000 names"},
           {"{0..99999999999999999999}", "not a series of rising numbers"},
       }) {
    const auto names = ExpandBraces(pattern);
    ASSERT_FALSE(names.ok()) << pattern;
    EXPECT_THAT(std::string(names.status().message()), HasSubstr(error)) << pattern;
  }
}

}  // namespace
}  // namespace vit
