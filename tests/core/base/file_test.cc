#include "core/base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <fstream>

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  int EntryCount() const {
    return static_cast<int>(std::distance(fs::directory_iterator(root_), {}));
  }
  fs::path root_;
};

// Limits this process's files to `bytes` while it lives, like a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

TEST_F(FileTest, AnAtomicWriteReplacesTheWholeFile) {
  const fs::path path = root_ / "f";
  ASSERT_TRUE(WriteFileAtomically(path, "first").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "second").ok());
  EXPECT_EQ(*ReadFile(path, 100), "second");
  EXPECT_EQ(EntryCount(), 1);
}

TEST_F(FileTest, AFullDiskLeavesTheOldFileAndNothingElse) {
  const fs::path path = root_ / "f";
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  absl::Status status;
  {
    FileSizeLimit limit(1000);
    status = WriteFileAtomically(path, std::string(5000, 'x'));
  }
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("f.tmp"));
  EXPECT_EQ(*ReadFile(path, 100), "old");
  EXPECT_EQ(EntryCount(), 1);
}

TEST_F(FileTest, ADirectoryAppearsWholeOrNotAtAll) {
  const fs::path path = root_ / "d";
  const auto fill = [](const std::string& text, absl::Status end) {
    return [=](const fs::path& directory) -> absl::Status {
      std::ofstream(directory / "a") << text;
      return end;
    };
  };
  ASSERT_TRUE(WriteDirectoryAtomically(path, fill("one", absl::OkStatus())).ok());
  EXPECT_EQ(WriteDirectoryAtomically(path, fill("two", absl::AbortedError("no"))),
            absl::AbortedError("no"));
  EXPECT_EQ(*ReadFile(path / "a", 100), "one");
  EXPECT_EQ(EntryCount(), 1);
  // Replaces what a crash left behind.
  fs::create_directories(root_ / "d.tmp");
  std::ofstream(root_ / "d.tmp/stale") << "x";
  ASSERT_TRUE(WriteDirectoryAtomically(path, fill("three", absl::OkStatus())).ok());
  EXPECT_EQ(*ReadFile(path / "a", 100), "three");
  EXPECT_FALSE(fs::exists(path / "stale"));
}

TEST_F(FileTest, RemoveTreeRemovesAndIsContentWithNothing) {
  fs::create_directories(root_ / "d/e");
  EXPECT_TRUE(RemoveTree(root_ / "d").ok());
  EXPECT_TRUE(RemoveTree(root_ / "d").ok());
  EXPECT_EQ(EntryCount(), 0);
}

TEST_F(FileTest, ReadFileRefusesWhatIsTooLargeOrNoFile) {
  std::ofstream(root_ / "f") << "12345";
  EXPECT_EQ(ReadFile(root_ / "f", 4).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(root_ / "g", 4).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(root_, 4).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FileTest, PathsResolveOnlyUnderTheRoots) {
  const std::string root = (root_ / "root").string(), outside = (root_ / "outside").string();
  fs::create_directories(root + "/pets");
  fs::create_directories(outside);
  fs::create_directories(root + "-beside");
  fs::create_directory_symlink(outside, root + "/leads-out");
  fs::create_directory_symlink(root + "/pets", root + "/leads-in");
  const std::vector<std::string> roots{root};
  EXPECT_EQ(*ResolveUnderRoots(root + "/pets", roots), fs::path(root + "/pets"));
  EXPECT_EQ(*ResolveUnderRoots(root, roots), fs::path(root));
  EXPECT_EQ(*ResolveUnderRoots(root + "/leads-in", roots), fs::path(root + "/pets"));
  const auto code = [&](const std::string& path) {
    return ResolveUnderRoots(path, roots).status().code();
  };
  EXPECT_EQ(code(root + "/leads-out"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(root + "/../outside"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(root + "-beside"), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(code(outside + "/not-there"), absl::StatusCode::kPermissionDenied)
      << "reveals nothing about what is outside";
  EXPECT_EQ(code(root + "/not-there"), absl::StatusCode::kNotFound);
  EXPECT_EQ(code("pets"), absl::StatusCode::kInvalidArgument);
  const absl::Status none = ResolveUnderRoots(root, {}).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(none.message()), HasSubstr("--data-root"));
}

TEST_F(FileTest, ALockIsHeldByOneAtATime) {
  const fs::path path = root_ / "lock";
  {
    const auto first = FileLock::Acquire(path);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(FileLock::Acquire(path).status().code(), absl::StatusCode::kAlreadyExists);
  }
  EXPECT_TRUE(FileLock::Acquire(path).ok());
}

TEST_F(FileTest, ALinkOutOfItsFolderIsRefusedAndOneInsideIsFollowed) {
  fs::create_directories(root_ / "folder");
  ASSERT_TRUE(WriteFile(root_ / "outside", "secret").ok());
  ASSERT_TRUE(WriteFile(root_ / "folder/own", "mine").ok());
  fs::create_symlink("../outside", root_ / "folder/out");
  fs::create_symlink("own", root_ / "folder/in");
  const absl::Status out = ResolveInside(root_ / "folder", "out").status();
  EXPECT_EQ(out.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(out.message()), HasSubstr("leads out of its folder"));
  EXPECT_EQ(ResolveInside(root_ / "folder", "../outside").status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(*ResolveInside(root_ / "folder", "in"), fs::canonical(root_ / "folder/own"));
  EXPECT_EQ(ResolveInside(root_ / "folder", "none").status().code(), absl::StatusCode::kNotFound);
  const std::vector<std::string> roots = {root_.string()};
  EXPECT_TRUE(ResolveInside(root_ / "folder", "out", roots).ok());
  const std::vector<std::string> others = {(root_ / "folder").string()};
  EXPECT_EQ(ResolveInside(root_ / "folder", "out", others).status().code(),
            absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace vit
