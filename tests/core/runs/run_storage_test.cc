// Disks and databases that refuse writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "tests/core/runs/run_manager_fixture.h"

namespace vit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

// What a full disk or a read-only one does to the database, made by a trigger. `change`: INSERT or
// DELETE.
void Refuse(const std::string& change, const fs::path& state_dir) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((state_dir / "runs.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db,
                         absl::StrCat("CREATE TRIGGER refuse BEFORE ", change,
                                      " ON runs BEGIN SELECT RAISE(ABORT, 'refused'); END")
                             .c_str(),
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(db);
}

TEST_F(RunManagerTest, RunThatCannotBeStoredLeavesNothingBehind) {
  auto manager = Open();
  Refuse("INSERT", state_.path());
  const absl::Status refused = manager->Start(Request()).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("store the run"), HasSubstr("refused")));
  EXPECT_EQ(manager->List({})->runs_size(), 0);
  EXPECT_TRUE(fs::is_empty(state_.path() / "runs"));
}

TEST_F(RunManagerTest, RunThatCannotBeDeletedIsStillThereAfterARestart) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  session->WriteCheckpoint(10, /*best=*/true);
  session->Finish(TrainOutcome::kFinished);
  AwaitState(manager.get(), id, vit::v1::RUN_STATE_SUCCEEDED);
  Refuse("DELETE", state_.path());
  const absl::Status refused = manager->Delete(id);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("refused"));
  manager.reset();
  manager = Open();
  EXPECT_EQ(StatusOf(manager.get(), id).state(), vit::v1::RUN_STATE_SUCCEEDED);
  EXPECT_TRUE(manager->Find(ModelRef::Run(id)).ok());
}

TEST_F(RunManagerTest, UnwritableRunFolderIsACleanError) {
  auto manager = Open();
  fs::remove_all(state_.path() / "runs");
  std::ofstream(state_.path() / "runs") << "a file where the folder should be";
  const absl::Status refused = manager->Start(Request()).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(refused.message(), HasSubstr("runs"));
  EXPECT_EQ(manager->List({})->runs_size(), 0);
}

TEST_F(RunManagerTest, StateDirectoryThatCannotBeUsedIsNamed) {
  RunManager::Options options;
  trainer_.Install(&options);
  options.state_dir = state_.path() / "file";
  std::ofstream(options.state_dir) << "not a folder";
  absl::Status status = RunManager::Create(options).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(options.state_dir.string()));

  options.state_dir = state_.path() / "blocked";
  fs::create_directories(options.state_dir / "runs.db");  // a folder in the database's place
  status = RunManager::Create(options).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("runs.db"));
}

TEST_F(RunManagerTest, CheckpointWithoutItsHistoryIsRefused) {
  auto manager = Open();
  const std::string id = StartRun(manager.get());
  const auto session = trainer_.Await();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((state_.path() / "runs.db").c_str(), &db), SQLITE_OK);
  const auto execute = [&](const char* sql) {
    EXPECT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  };
  execute("CREATE TRIGGER refuse BEFORE INSERT ON metrics BEGIN SELECT RAISE(ABORT, 'full'); END");
  session->StepTo(2);
  session->WriteCheckpoint(2);
  listener_.Await(absl::StrCat("checkpoint failed ", id, " 2"));
  EXPECT_FALSE(fs::exists(CheckpointPath(RunFolder(id), 2)));
  // Once there is room again, nothing of the history is missing.
  execute("DROP TRIGGER refuse");
  sqlite3_close(db);
  session->StepTo(4);
  session->WriteCheckpoint(4);
  vit::v1::GetHistoryRequest request;
  request.set_run(id);
  EXPECT_EQ(manager->GetHistory(request)->points_size(), 4);
}

}  // namespace
}  // namespace vit
