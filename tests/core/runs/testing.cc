#include "tests/core/runs/testing.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/checksums.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/runs/run_record.h"
#include "core/train/checkpoint/checkpoint_info.h"
#include "core/train/initial_weights.h"
#include "core/train/pin_model.h"
#include "proto/spec_text.h"

namespace vit {
namespace fs = std::filesystem;

using vit::v1::CheckpointInfo;
using vit::v1::MetricPoint;
using vit::v1::Run;

namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

class FakeDataSet : public DataSet {
 public:
  explicit FakeDataSet(std::string fingerprint)
      : DataSet(
            {.class_names = {"circle", "square", "star"}, .fingerprint = std::move(fingerprint)}) {}
  int64_t size(DataSplit split) const override { return split == DataSplit::kTrain ? 40 : 8; }
  int64_t label(DataSplit, int64_t) const override { return 0; }
  std::string name(DataSplit, int64_t index) const override { return absl::StrCat(index); }
  absl::StatusOr<ImagePart> LoadPart(DataSplit, int64_t, const PixelRequest&) const override {
    return absl::UnimplementedError("has no images");
  }
};

std::vector<CheckpointInfo> ListFakeCheckpoints(const fs::path& run_directory) {
  std::vector<CheckpointInfo> all;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run_directory / "checkpoints", code)) {
    CheckpointInfo info;
    const absl::StatusOr<std::string> text = ReadFile(entry.path() / "info.textproto", 1 << 20);
    if (text.ok() && ParseStoredMessageText(*text, &info).ok()) all.push_back(info);
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.step() < b.step(); });
  return all;
}

// Waits until `condition` holds with `mu` held; aborts the test program if it never does.
template <typename Condition>
void AwaitLocked(CondVar* changed, Mutex* mu, const std::string& what,
                 Condition condition) VIT_NO_THREAD_SAFETY_ANALYSIS {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!condition()) {
    if (Clock::Real()->WaitUntil(changed, mu, deadline) && !condition()) {
      ADD_FAILURE() << "waited in vain for " << what;
      abort();
    }
  }
}

}  // namespace

StateFolder::StateFolder() {
  std::string form = (fs::path(::testing::TempDir()) / "vit-runs-XXXXXX").string();
  path_ = mkdtemp(form.data());
}

StateFolder::~StateFolder() {
  std::error_code code;
  fs::remove_all(path_, code);
}

std::unique_ptr<StateFolder> StateFolder::Copy() const {
  auto copy = std::make_unique<StateFolder>();
  fs::copy(path_, copy->path(), fs::copy_options::recursive);
  return copy;
}

MetricPoint Point(int64_t step, vit::v1::Split split, double loss) {
  MetricPoint point;
  point.set_step(step);
  point.set_epoch(static_cast<double>(step) / 10);
  point.set_split(split);
  point.set_loss(loss);
  point.set_accuracy(0.5);
  point.set_learning_rate(1e-3);
  point.mutable_time()->set_seconds(1'700'000'000 + step);
  return point;
}

CheckpointInfo Checkpoint(int64_t step, bool best) {
  CheckpointInfo info;
  info.set_step(step);
  info.set_best(best);
  if (best) info.set_accuracy(static_cast<double>(step) / 1000);
  info.mutable_time()->set_seconds(1'700'000'000 + step);
  return info;
}

void ScriptedTrainer::Install(RunManager::Options* options) {
  options->plan = [this](const std::string& preset, const vit::v1::TrainingSpec& spec,
                         const TrainingEnvironment& environment,
                         const ExistingRun& run) -> absl::StatusOr<ResolvedSpec> {
    VIT_ASSIGN_OR_RETURN(ResolvedSpec resolved, Resolve(preset, spec));
    if (!resolved.spec.has_init() || run.has_checkpoint || KeepsInitialWeights(run.directory)) {
      return resolved;
    }
    VIT_ASSIGN_OR_RETURN(resolved.models.init,
                         PinModel("init", resolved.spec.init(), environment.models));
    resolved.spec.set_init(resolved.models.init->ref.ToPrefixedString());
    return resolved;
  };
  options->train = [this](const TrainerOptions& trainer, std::stop_token stop) {
    return Train(trainer, stop);
  };
  options->list_checkpoints = ListFakeCheckpoints;
}

void ScriptedTrainer::set_fingerprint(const std::string& fingerprint) {
  MutexLock lock(&mu_);
  fingerprint_ = fingerprint;
}

void ScriptedTrainer::set_resolve_error(const absl::Status& error) {
  MutexLock lock(&mu_);
  resolve_error_ = error;
}

void ScriptedTrainer::set_ignore_stop(bool ignore) {
  MutexLock lock(&mu_);
  ignore_stop_ = ignore;
}

absl::StatusOr<ResolvedSpec> ScriptedTrainer::Resolve(const std::string& preset,
                                                      const vit::v1::TrainingSpec& spec) {
  if (preset == "unknown") return absl::NotFoundError("no preset 'unknown'");
  if (spec.data().source() == "folder:/missing") {
    return absl::NotFoundError("data folder:/missing: nothing is there");
  }
  ResolvedSpec resolved;
  resolved.spec = spec;
  if (!spec.has_seed()) resolved.spec.set_seed(7);
  if (!spec.has_max_steps()) resolved.spec.set_max_steps(100);
  if (!spec.has_compute_threads()) resolved.spec.set_compute_threads(1);
  MutexLock lock(&mu_);
  VIT_RETURN_IF_ERROR(resolve_error_);
  resolved.data = std::make_shared<FakeDataSet>(fingerprint_);
  resolved.parameter_count = 1234;
  resolved.estimated_memory.host_bytes = 5678;
  resolved.steps_per_epoch = 10;
  resolved.total_steps = resolved.spec.max_steps();
  return resolved;
}

absl::StatusOr<TrainOutcome> ScriptedTrainer::Train(const TrainerOptions& options,
                                                    std::stop_token stop) {
  std::shared_ptr<Session> session(new Session(options, stop));
  const std::vector<CheckpointInfo> checkpoints = ListFakeCheckpoints(options.directory);
  session->step_ = checkpoints.empty() ? 0 : checkpoints.back().step();
  options.observer->OnStart(session->step_, "");
  options.observer->OnPhase("training", 0);
  bool ignore_stop;
  {
    MutexLock lock(&mu_);
    ignore_stop = ignore_stop_;
    waiting_.push_back(session);
    begun_.push_back(session->run());
    changed_.NotifyAll();
  }
  return session->Run(ignore_stop);
}

std::shared_ptr<ScriptedTrainer::Session> ScriptedTrainer::Await() {
  MutexLock lock(&mu_);
  AwaitLocked(&changed_, &mu_, "a training session",
              [&]() VIT_REQUIRES(mu_) { return !waiting_.empty(); });
  std::shared_ptr<Session> session = waiting_.front();
  waiting_.pop_front();
  return session;
}

std::vector<std::string> ScriptedTrainer::begun() {
  MutexLock lock(&mu_);
  return begun_;
}

absl::StatusOr<TrainOutcome> ScriptedTrainer::Session::Run(bool ignore_stop) {
  std::stop_callback wake(stop_, [this] {
    MutexLock lock(&mu_);
    changed_.NotifyAll();
  });
  while (true) {
    std::function<void()> action;
    bool stopped = false;
    {
      MutexLock lock(&mu_);
      while (true) {
        if (!actions_.empty()) {
          action = std::move(actions_.front());
          actions_.pop_front();
          break;
        }
        if (outcome_.has_value()) return *outcome_;
        stopped = stop_.stop_requested() && !ignore_stop;
        if (stopped) break;
        changed_.Wait(&mu_);
      }
    }
    if (stopped) {
      if (step_ > 0) WriteCheckpoint(step_);
      return TrainOutcome::kStopped;
    }
    action();
  }
}

void ScriptedTrainer::Session::Do(std::function<void(TrainObserver*)> action) {
  bool done = false;
  MutexLock lock(&mu_);
  actions_.push_back([&] {
    action(options_.observer);
    MutexLock lock(&mu_);
    done = true;
    changed_.NotifyAll();
  });
  changed_.NotifyAll();
  AwaitLocked(&changed_, &mu_, "an action on the training thread", [&] { return done; });
}

void ScriptedTrainer::Session::StepTo(int64_t step) {
  Do([this, step](TrainObserver* observer) {
    while (step_ < step) {
      ++step_;
      observer->OnMetrics(Point(step_, vit::v1::SPLIT_TRAIN, 1.0 / static_cast<double>(step_)));
      TrainObserver::Step report;
      report.step = step_;
      report.samples = 4;
      report.compute = absl::Milliseconds(10);
      observer->OnStep(report);
    }
  });
}

void ScriptedTrainer::Session::WriteCheckpoint(int64_t step, bool best) {
  const CheckpointInfo info = Checkpoint(step, best);
  absl::Status written = options_.observer->OnBeforeCheckpoint(step);
  if (written.ok()) {
    const fs::path folder = CheckpointPath(options_.directory, step);
    fs::create_directories(folder);
    written = WriteFile(folder / "model.safetensors", absl::StrCat("weights of step ", step));
    if (written.ok()) written = WriteChecksums(folder, {"model.safetensors"});
    if (written.ok()) written = WriteFileAtomically(folder / "info.textproto", MessageToText(info));
  }
  if (written.ok()) {
    options_.observer->OnCheckpoint(info, absl::Milliseconds(5));
  } else {
    options_.observer->OnCheckpointFailed(step, written);
  }
}

void ScriptedTrainer::Session::Finish(absl::StatusOr<TrainOutcome> outcome) {
  MutexLock lock(&mu_);
  outcome_ = std::move(outcome);
  changed_.NotifyAll();
}

void RecordingListener::Add(const std::string& line) {
  MutexLock lock(&mu_);
  lines_.push_back(line);
  changed_.NotifyAll();
}

void RecordingListener::OnRunChanged(const Run& run) {
  const std::string line = absl::StrCat("state ", run.id(), " ", StateWord(run.state()));
  {
    MutexLock lock(&mu_);
    if (std::exchange(last_state_, line) == line) return;
  }
  Add(line);
}
void RecordingListener::OnStep(const std::string& run, const TrainObserver::Step& step) {
  Add(absl::StrCat("step ", run, " ", step.step));
}
void RecordingListener::OnMetrics(const Run& run, const MetricPoint& point) {
  Add(absl::StrCat("metrics ", run.id(), " ", point.step()));
}
void RecordingListener::OnCheckpoint(const std::string& run, const CheckpointInfo& checkpoint,
                                     absl::Duration) {
  Add(absl::StrCat("checkpoint ", run, " ", checkpoint.step()));
}
void RecordingListener::OnCheckpointFailed(const std::string& run, int64_t step,
                                           const absl::Status&) {
  Add(absl::StrCat("checkpoint failed ", run, " ", step));
}
void RecordingListener::OnBadImage(const std::string& run, const std::string& name,
                                   const absl::Status&) {
  Add(absl::StrCat("bad image ", run, " ", name));
}
void RecordingListener::OnRunDeleted(const std::string& run) { Add(absl::StrCat("deleted ", run)); }

std::vector<std::string> RecordingListener::lines() {
  MutexLock lock(&mu_);
  return lines_;
}

void RecordingListener::Await(const std::string& line) {
  MutexLock lock(&mu_);
  AwaitLocked(&changed_, &mu_, line, [&]() VIT_REQUIRES(mu_) {
    return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
  });
}

Run AwaitRun(RunManager* manager, const std::string& run,
             const std::function<bool(const Run&)>& condition) {
  Mutex mu;
  CondVar changed;
  int changes = 0;
  const auto subscription = manager->Subscribe(run, [&] {
    MutexLock lock(&mu);
    ++changes;
    changed.NotifyAll();
  });
  EXPECT_TRUE(subscription.ok()) << subscription.status();
  while (true) {
    int before;
    {
      MutexLock lock(&mu);
      before = changes;
    }
    const auto status = manager->GetStatus(run);
    EXPECT_TRUE(status.ok()) << status.status();
    if (!status.ok() || condition(status->run())) return status.ok() ? status->run() : Run();
    MutexLock lock(&mu);
    AwaitLocked(&changed, &mu, absl::StrCat("a change of ", status->run().ShortDebugString()),
                [&] { return changes != before; });
  }
}

Run AwaitState(RunManager* manager, const std::string& run, vit::v1::RunState state) {
  return AwaitRun(manager, run, [&](const Run& r) { return r.state() == state; });
}

}  // namespace vit
