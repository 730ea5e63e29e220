#include "core/base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class MapFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::path(::testing::TempDir()) /
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(path_);
  }
  void TearDown() override { fs::remove_all(path_); }
  fs::path path_;
};

TEST_F(MapFileTest, TheBytesLiveAsLongAsTheirOwner) {
  std::ofstream(path_) << "weights";
  std::shared_ptr<const void> owner;
  absl::string_view view;
  {
    const auto bytes = MapFile(path_);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    owner = bytes->owner;
    view = bytes->view;
  }
  fs::remove(path_);
  EXPECT_EQ(view, "weights");
}

TEST_F(MapFileTest, AnEmptyFileHasNoBytes) {
  std::ofstream(path_).flush();
  const auto bytes = MapFile(path_);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_TRUE(bytes->view.empty());
}

TEST_F(MapFileTest, WhatIsNoRegularFileIsRefusedWithoutWaiting) {
  EXPECT_EQ(MapFile(path_).status().code(), absl::StatusCode::kNotFound);
  fs::create_directory(path_);
  EXPECT_THAT(std::string(MapFile(path_).status().message()), HasSubstr("not a regular file"));
  fs::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(MapFile(path_).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vit
