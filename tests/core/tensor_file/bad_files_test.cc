#include "tests/core/tensor_file/bad_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "core/tensor_file/tensor_file.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::vector<BadFile> AllBadFiles() {
  const std::pair<const char*, std::vector<BadFile> (*)()> kinds[] = {
      {"safetensors", BadSafetensors}, {"zip", BadZips},        {"npz", BadArrays},
      {"PyTorch", BadPytorchArchives}, {"PyTorch", BadPickles}, {"index", BadIndices}};
  std::vector<BadFile> files;
  for (const auto& [kind, make] : kinds) {
    for (BadFile& file : make()) {
      file.name = absl::StrCat(kind, ": ", file.name);
      files.push_back(std::move(file));
    }
  }
  return files;
}

// A value in kB of /proc/self/status.
int64_t ProcessKilobytes(absl::string_view key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t value = 0;
    words >> name >> value;
    if (name == absl::StrCat(key, ":")) return value;
  }
  ADD_FAILURE() << "no " << key << " in /proc/self/status";
  return 0;
}

class BadFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / "bad_files_test";
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(BadFilesTest, EachIsRefusedForItsReasonInLittleMemory) {
  std::vector<BadFile> files = AllBadFiles();
  EXPECT_GE(files.size(), 200u);
  std::set<std::string> names;
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_TRUE(names.insert(files[i].name).second) << files[i].name;
    std::ofstream(folder_ / absl::StrCat(i), std::ios::binary) << files[i].bytes;
    files[i].bytes = {};
  }
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";  // resets the peak
  const int64_t before = ProcessKilobytes("VmRSS");
  const auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < files.size(); ++i) {
    const absl::Status status = ReadTensorFile(folder_ / absl::StrCat(i)).status();
    EXPECT_FALSE(status.ok()) << files[i].name;
    EXPECT_NE(status.code(), absl::StatusCode::kInternal) << files[i].name << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(files[i].message)) << files[i].name;
    EXPECT_LT(status.message().size(), 1000u) << files[i].name;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const int64_t peak = ProcessKilobytes("VmHWM") - before;
  std::cout << files.size() << " files refused in " << seconds << " s; " << peak
            << " kB of memory more than before at the peak" << std::endl;
#if !defined(__SANITIZE_ADDRESS__)  // which keeps freed memory for a while
  EXPECT_LT(peak, 100'000);
#endif
}

}  // namespace
}  // namespace vit
