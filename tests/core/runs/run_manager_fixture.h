// A RunManager on its own state folder, with a trainer that does what the test says.
#ifndef VIT_TESTS_CORE_RUNS_RUN_MANAGER_FIXTURE_H_
#define VIT_TESTS_CORE_RUNS_RUN_MANAGER_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/runs/run_manager.h"
#include "tests/core/runs/testing.h"

namespace vit {

class RunManagerTest : public ::testing::Test {
 protected:
  std::unique_ptr<RunManager> Open(const std::filesystem::path& state_dir) {
    RunManager::Options options = options_;
    options.state_dir = state_dir;
    options.listener = &listener_;
    options.clock = &clock_;
    trainer_.Install(&options);
    absl::StatusOr<std::unique_ptr<RunManager>> manager = RunManager::Create(options);
    EXPECT_TRUE(manager.ok()) << manager.status();
    return manager.ok() ? *std::move(manager) : nullptr;
  }
  std::unique_ptr<RunManager> Open() { return Open(state_.path()); }

  static vit::v1::StartTrainingRequest Request(const std::string& name = "") {
    vit::v1::StartTrainingRequest request;
    request.set_name(name);
    request.set_preset("shapes_demo");
    request.mutable_spec()->mutable_data()->set_source("shapes:");
    return request;
  }
  static std::string StartRun(RunManager* manager, const std::string& name = "") {
    const auto response = manager->Start(Request(name));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->run().id() : "";
  }
  // A run that was stopped at `step`.
  std::string StartAndStopAt(RunManager* manager, int64_t step) {
    std::string id = StartRun(manager);
    trainer_.Await()->StepTo(step);
    EXPECT_TRUE(manager->Stop(id).ok());
    AwaitState(manager, id, vit::v1::RUN_STATE_STOPPED);
    return id;
  }
  static vit::v1::ResumeRunRequest ResumeRequest(const std::string& run) {
    vit::v1::ResumeRunRequest request;
    request.set_run(run);
    return request;
  }
  static vit::v1::Run StatusOf(RunManager* manager, const std::string& run) {
    const auto status = manager->GetStatus(run);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->run() : vit::v1::Run();
  }
  std::filesystem::path RunFolder(const std::string& run) const {
    return state_.path() / "runs" / run;
  }

  StateFolder state_;
  FakeClock clock_;
  ScriptedTrainer trainer_;
  RecordingListener listener_;
  RunManager::Options options_;
};

}  // namespace vit

#endif  // VIT_TESTS_CORE_RUNS_RUN_MANAGER_FIXTURE_H_
