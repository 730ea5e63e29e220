#include "client/vitctl/images/image_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ImagePathsTest : public ::testing::Test {
 protected:
  ImagePathsTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(::testing::TempDir()) / absl::StrCat("image_paths_", test->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~ImagePathsTest() override { fs::remove_all(root_); }

  std::string Path(const std::string& name) const { return (root_ / name).string(); }

  void Write(const std::string& name) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << "x";
  }

  // The paths below the root; an entry with an error has its code in front.
  std::vector<std::string> Names(const std::vector<ImagePath>& images) const {
    std::vector<std::string> names;
    for (const ImagePath& image : images) {
      const std::string name = fs::path(image.path).lexically_relative(root_).string();
      names.push_back(image.status.ok()
                          ? name
                          : absl::StrCat(absl::StatusCodeToString(image.status.code()), " ", name));
    }
    return names;
  }

  fs::path root_;
};

TEST_F(ImagePathsTest, FoldersAreReadWithAllBelowInBytewiseOrder) {
  for (const char* name : {"b.jpg", "a/2.PNG", "a/10.webp", "a-b.jpeg", "Z.bmp", "notes.txt",
                           "a/deep/er/1.jpg", ".hidden/1.jpg", ".thumb.jpg", "a/noextension"}) {
    Write(name);
  }
  EXPECT_THAT(Names(FindImages({root_.string()})),
              ElementsAre("Z.bmp", "a-b.jpeg", "a/10.webp", "a/2.PNG", "a/deep/er/1.jpg", "b.jpg"));
}

TEST_F(ImagePathsTest, ArgumentsKeepTheirOrderAndFilesAnyName) {
  Write("dir/1.jpg");
  Write("noextension");
  EXPECT_THAT(Names(FindImages({Path("noextension"), Path("missing.jpg"), Path("dir")})),
              ElementsAre("noextension", "missing.jpg", "dir/1.jpg"));
}

TEST_F(ImagePathsTest, LinksThatFormALoopAreReadOnce) {
  Write("a/1.jpg");
  Write("other/2.jpg");
  fs::create_directory_symlink(root_, root_ / "a/up");
  fs::create_directory_symlink("../other", root_ / "a/aside");
  fs::create_symlink("self.jpg", root_ / "self.jpg");
  EXPECT_THAT(Names(FindImages({root_.string()})),
              ElementsAre("a/1.jpg", "other/2.jpg", "self.jpg"));
}

TEST_F(ImagePathsTest, LinkedFoldersElsewhereAreRead) {
  Write("outside/1.jpg");
  fs::create_directories(root_ / "set");
  fs::create_directory_symlink("../outside", root_ / "set/link");
  EXPECT_THAT(Names(FindImages({Path("set")})), ElementsAre("set/link/1.jpg"));
}

TEST_F(ImagePathsTest, AFolderWithoutImagesIsAnError) {
  Write("empty/notes.txt");
  const auto images = FindImages({Path("empty")});
  EXPECT_THAT(Names(images), ElementsAre("NOT_FOUND empty"));
  EXPECT_THAT(std::string(images[0].status.message()), HasSubstr("no images in this folder"));
}

TEST_F(ImagePathsTest, AFolderThatCannotBeReadIsAnErrorAmongTheOthers) {
  if (geteuid() == 0) GTEST_SKIP() << "root can read every folder";
  Write("set/1.jpg");
  fs::create_directories(root_ / "set/locked");
  fs::permissions(root_ / "set/locked", fs::perms::none);
  EXPECT_THAT(Names(FindImages({Path("set")})),
              ElementsAre("set/1.jpg", "PERMISSION_DENIED set/locked"));
  fs::permissions(root_ / "set/locked", fs::perms::owner_all);
}

TEST_F(ImagePathsTest, PatternsStandForWhatTheyMatch) {
  for (const char* name : {"b.jpg", "a.jpg", "B.jpg", "c.png", "dir/1.jpg"}) Write(name);
  EXPECT_THAT(Names(FindImages({Path("*.jpg")})), ElementsAre("B.jpg", "a.jpg", "b.jpg"));
  EXPECT_THAT(Names(FindImages({Path("[ab].jp?")})), ElementsAre("a.jpg", "b.jpg"));
  EXPECT_THAT(Names(FindImages({Path("d*")})), ElementsAre("dir/1.jpg"));
  EXPECT_THAT(Names(FindImages({Path("*.bmp")})), ElementsAre("NOT_FOUND *.bmp"));
}

TEST_F(ImagePathsTest, AFileWithTheNameOfAPatternIsItself) {
  Write("cat[1].jpg");
  Write("cat1.jpg");
  EXPECT_THAT(Names(FindImages({Path("cat[1].jpg")})), ElementsAre("cat[1].jpg"));
}

TEST_F(ImagePathsTest, ListsHoldPathsAndFoldersButNoPatterns) {
  Write("dir/1.jpg");
  Write("a.jpg");
  std::istringstream in(absl::StrCat(Path("dir"), "\r\n\n", Path("*.jpg"), "\n", Path("a.jpg")));
  const auto names = ReadFileList("-", in);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_THAT(Names(FindListedImages(*names)), ElementsAre("dir/1.jpg", "*.jpg", "a.jpg"));
  EXPECT_EQ(FindListedImages({"-"})[0].path, "./-");
}

TEST_F(ImagePathsTest, ListsThatCannotBeReadAreNamed) {
  std::istringstream in("\n\n");
  const auto empty = ReadFileList("-", in);
  EXPECT_EQ(empty.status(),
            absl::InvalidArgumentError("standard input names no files; expected one a line"));
  const auto missing = ReadFileList(Path("list.txt"), in);
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("list.txt"));
  EXPECT_FALSE(ReadFileList(root_.string(), in).ok());
}

}  // namespace
}  // namespace vit
