// A RunManager whose one run does what a test says.
#ifndef VIT_TESTS_SERVER_SCRIPTED_RUNS_H_
#define VIT_TESTS_SERVER_SCRIPTED_RUNS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "core/runs/run_manager.h"

namespace vit {

// Thread-safe.
class ScriptedRuns : public RunManager {
 public:
  ScriptedRuns() {
    run_.set_id("r1");
    run_.set_state(vit::v1::RUN_STATE_RUNNING);
  }

  // Changes the run and tells its subscribers.
  void Change(const std::function<void(vit::v1::Run* run,
                                       std::vector<vit::v1::MetricPoint>* history)>& change) {
    std::vector<std::function<void()>> callbacks;
    {
      MutexLock lock(&mu_);
      change(&run_, &history_);
      for (const auto& [id, callback] : subscribers_) callbacks.push_back(callback);
    }
    for (const auto& callback : callbacks) callback();
  }
  void AddPoint(vit::v1::Split split, int64_t step) {
    Change([&](vit::v1::Run* run, std::vector<vit::v1::MetricPoint>* history) {
      run->set_step(step);
      history->emplace_back();
      history->back().set_step(step);
      history->back().set_split(split);
    });
  }
  void Finish(vit::v1::RunState state) {
    Change([&](vit::v1::Run* run, std::vector<vit::v1::MetricPoint>*) { run->set_state(state); });
  }
  // Returns once `count` streams follow the run.
  void AwaitSubscribers(size_t count) {
    MutexLock lock(&mu_);
    while (subscribers_.size() != count) changed_.Wait(&mu_);
  }

  // Set before the calls that it is for.
  std::function<absl::StatusOr<vit::v1::StartTrainingResponse>(const Cancelled& cancelled)>
      on_start =
          [](const Cancelled&) { return absl::PermissionDeniedError("outside the data roots"); };

  absl::StatusOr<vit::v1::StartTrainingResponse> Start(const vit::v1::StartTrainingRequest&,
                                                       const Cancelled& cancelled) override {
    return on_start(cancelled);
  }
  absl::StatusOr<vit::v1::StatusResponse> GetStatus(const std::string& run) override {
    MutexLock lock(&mu_);
    if (!run.empty() && run != "r1") return absl::NotFoundError("no run '" + run + "'");
    vit::v1::StatusResponse response;
    *response.mutable_run() = run_;
    return response;
  }
  absl::StatusOr<vit::v1::ListRunsResponse> List(const vit::v1::ListRunsRequest&) override {
    return vit::v1::ListRunsResponse();
  }
  absl::StatusOr<vit::v1::Run> Stop(const std::string&) override {
    return absl::FailedPreconditionError("the run is finished");
  }
  absl::StatusOr<vit::v1::Run> Resume(const vit::v1::ResumeRunRequest&, const Cancelled&) override {
    return absl::FailedPreconditionError("no checkpoint");
  }
  absl::Status Delete(const std::string&) override {
    return absl::FailedPreconditionError("running");
  }
  absl::StatusOr<vit::v1::GetHistoryResponse> GetHistory(
      const vit::v1::GetHistoryRequest& request) override {
    MutexLock lock(&mu_);
    vit::v1::GetHistoryResponse response;
    for (const vit::v1::MetricPoint& point : history_) {
      if (point.split() == request.split() && point.step() > request.after_step()) {
        *response.add_points() = point;
      }
    }
    return response;
  }
  absl::StatusOr<vit::v1::GetEvaluationResponse> GetEvaluation(
      const vit::v1::GetEvaluationRequest&) override {
    return absl::NotFoundError("no evaluation");
  }
  absl::StatusOr<std::shared_ptr<void>> Subscribe(const std::string&,
                                                  std::function<void()> on_change) override {
    MutexLock lock(&mu_);
    const int id = next_subscriber_++;
    subscribers_[id] = std::move(on_change);
    changed_.NotifyAll();
    return std::shared_ptr<void>(nullptr, [this, id](void*) {
      MutexLock lock(&mu_);
      subscribers_.erase(id);
      changed_.NotifyAll();
    });
  }
  absl::StatusOr<ServableModel> Find(const ModelRef& ref) override {
    if (ref.name == "none") return absl::NotFoundError("no run 'none'");
    return ServableModel{
        .ref = ModelRef::Run("r1", 7), .name = "run:r1", .run = "r1", .step = 7, .directory = "/x"};
  }
  void Shutdown(absl::Time) override {}

 private:
  Mutex mu_;
  CondVar changed_;
  vit::v1::Run run_ VIT_GUARDED_BY(mu_);
  std::vector<vit::v1::MetricPoint> history_ VIT_GUARDED_BY(mu_);
  std::map<int, std::function<void()>> subscribers_ VIT_GUARDED_BY(mu_);
  int next_subscriber_ VIT_GUARDED_BY(mu_) = 0;
};

}  // namespace vit

#endif  // VIT_TESTS_SERVER_SCRIPTED_RUNS_H_
