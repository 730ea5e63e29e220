// What `vitd` does before it becomes the daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/data/testing.h"
#include "tests/e2e/process.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// vitd with `arguments`, in this test's environment with `changes` for env(1).
std::vector<std::string> Vitd(std::vector<std::string> changes,
                              const std::vector<std::string>& arguments) {
  changes.insert(changes.begin(), "/usr/bin/env");
  changes.push_back(absl::StrCat(VIT_BIN_DIR, "/vitd"));
  changes.insert(changes.end(), arguments.begin(), arguments.end());
  return changes;
}

// Returns its output; it must fail.
std::string ErrorWith(const std::string& libtorch) {
  Process vitd(Vitd({"LIBTORCH=" + libtorch}, {"--version"}));
  EXPECT_EQ(vitd.Wait(), 1);
  return vitd.standard_error();
}

TEST(LauncherTest, TheDaemonIsCalledVitdAndItsThreadsSleepWhenTheyWait) {
  TemporaryFolder folder;
  Process vitd(Vitd({"-u", "OMP_WAIT_POLICY"},
                    {"--state-dir", (folder.path() / "state").string(), "--listen", "127.0.0.1:0",
                     "--metrics-listen", "127.0.0.1:0"}));
  ASSERT_TRUE(vitd.AwaitLine("ready"));
  const fs::path proc = absl::StrCat("/proc/", vitd.pid());
  EXPECT_EQ(ReadAll(proc / "comm"), "vitd\n");
  EXPECT_THAT(ReadAll(proc / "environ"), HasSubstr("OMP_WAIT_POLICY=passive"));
  vitd.Kill(SIGTERM);
  EXPECT_EQ(vitd.Wait(), 0);
}

TEST(LauncherTest, ASettingOfOnesOwnStays) {
  Process vitd(Vitd({"OMP_WAIT_POLICY=active", "OMP_DISPLAY_ENV=true"}, {"--version"}));
  EXPECT_EQ(vitd.Wait(), 0);
  EXPECT_THAT(vitd.standard_error(), HasSubstr("OMP_WAIT_POLICY = 'ACTIVE'"));
}

TEST(LauncherTest, ALibTorchThatDoesNotDoIsNamedWithTheWayOut) {
  TemporaryFolder folder;
  EXPECT_THAT(ErrorWith("/nowhere"), HasSubstr("LIBTORCH=/nowhere holds no lib/libtorch_cpu.so"));
  folder.Write("old/lib/libtorch_cpu.so", "");
  EXPECT_THAT(ErrorWith(folder.root() + "/old"), HasSubstr("LibTorch of an unknown version"));
  folder.Write("old/version.py", "from x import y\n__version__ = '1.13.1+cpu'\n");
  const std::string error = ErrorWith(folder.root() + "/old");
  EXPECT_THAT(error, HasSubstr("/old is LibTorch 1.13.1+cpu, and this vitd needs LibTorch 2."));
  EXPECT_THAT(error, HasSubstr("pip install torch==2."));
}

}  // namespace
}  // namespace vit
