// Training speed, as ratios in one run: the trainer end to end against its own step on data in
// memory, that step against the plain LibTorch loop, and how long a checkpoint holds training up.
// What is compared alternates, so that a machine whose speed drifts slows both sides.
//
//   training_bench [ROUNDS] [PRESET]     (default 5 rounds of cifar10_small)
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "bench/plain_vit.h"
#include "core/base/file.h"
#include "core/model/normalize.h"
#include "core/train/schedule.h"
#include "core/train/trainer.h"
#include "core/train/training_step.h"

namespace vit::bench {
namespace {

namespace fs = std::filesystem;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Measures the trainer's steps after the first ones.
class StepTimer : public TrainObserver {
 public:
  explicit StepTimer(int64_t warmup) : warmup_(warmup) {}
  void OnPhase(const std::string&, double) override {}
  void OnStep(const Step& step) override {
    if (step.step == warmup_) start_ = absl::Now();
    if (step.step <= warmup_) return;
    samples_ += step.samples;
    end_ = absl::Now();
    if (step.checkpoint > absl::ZeroDuration())
      hold_ups_ms.push_back(absl::ToDoubleMilliseconds(step.checkpoint));
    wait_ += step.data_wait;
  }
  void OnMetrics(const vit::v1::MetricPoint&) override {}
  absl::Status OnBeforeCheckpoint(int64_t) override { return absl::OkStatus(); }
  void OnCheckpoint(const vit::v1::CheckpointInfo&, absl::Duration write_time) override {
    writes_ms.push_back(absl::ToDoubleMilliseconds(write_time));
  }
  void OnCheckpointFailed(int64_t step, const absl::Status& why) override {
    std::fprintf(stderr, "checkpoint of step %ld: %s\n", static_cast<long>(step),
                 why.ToString().c_str());
    std::exit(1);
  }
  void OnBadImage(const BadImage&) override {}
  void OnStart(int64_t, const std::string&) override {}

  double images_per_second() const {
    return static_cast<double>(samples_) / absl::ToDoubleSeconds(end_ - start_);
  }
  double wait_part() const { return wait_ / (end_ - start_); }
  std::vector<double> hold_ups_ms, writes_ms;

 private:
  const int64_t warmup_;
  absl::Time start_, end_;
  int64_t samples_ = 0;
  absl::Duration wait_;
};

ResolvedSpec Resolve(const std::string& preset, const TrainingEnvironment& environment, int steps) {
  vit::v1::TrainingSpec spec;
  spec.mutable_data()->set_source("shapes:");
  spec.mutable_data()->mutable_shapes()->set_train_size(5000);
  spec.mutable_data()->mutable_shapes()->set_val_size(10);
  spec.set_max_steps(steps);
  spec.mutable_checkpoint()->set_every_steps(0);
  spec.mutable_schedule()->set_warmup_steps(1);
  spec.set_log_every_steps(20);
  auto resolved = ResolveSpec(preset, spec, environment);
  if (!resolved.ok()) {
    std::fprintf(stderr, "%s\n", resolved.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(resolved);
}

void OnComputeThread(int threads, const std::function<void()>& body) {
  ComputeBudget::StartThread("bench", threads, body).join();
}

double TrainEndToEnd(const ResolvedSpec& resolved, const TrainingEnvironment& environment,
                     const fs::path& directory, StepTimer* timer) {
  fs::remove_all(directory);
  fs::create_directories(directory);
  TrainerOptions options;
  options.resolved = resolved;
  options.environment = environment;
  options.directory = directory;
  options.observer = timer;
  absl::StatusOr<TrainOutcome> outcome = absl::UnknownError("");
  OnComputeThread(resolved.spec.compute_threads(), [&] { outcome = Train(options, {}); });
  if (!outcome.ok()) {
    std::fprintf(stderr, "%s\n", outcome.status().ToString().c_str());
    std::exit(1);
  }
  return timer->images_per_second();
}

double Seconds(const std::function<void()>& function) {
  const absl::Time start = absl::Now();
  function();
  return absl::ToDoubleSeconds(absl::Now() - start);
}

void CompareSpeed(int rounds, const std::string& preset, const fs::path& scratch) {
  constexpr int kSteps = 30, kWarmup = 8;
  TrainingEnvironment environment;
  environment.budget = *ComputeBudget::Create(0);
  const ResolvedSpec resolved = Resolve(preset, environment, kSteps + kWarmup + 1);
  const vit::v1::TrainingSpec& spec = resolved.spec;
  std::printf("%s: batch %d, %s, %d compute threads, %d loader threads\n", preset.c_str(),
              spec.batch_size(), vit::v1::Precision_Name(spec.precision()).c_str(),
              spec.compute_threads(), spec.data().loader_threads());
  const int batch = spec.batch_size(), size = spec.model().image_size();
  torch::manual_seed(1);
  const at::Tensor images = at::randn({batch, 3, size, size});
  const at::Tensor labels = at::randint(0, 10, {batch}, at::kLong);
  std::vector<int> slots(batch);
  std::iota(slots.begin(), slots.end(), 0);

  VisionTransformer model(spec.model());
  model->Initialize(1);
  model->train();
  TrainingStep step(spec, model.get(), {.per_epoch = 1000, .warmup = 1, .total = 1'000'000});
  PlainLoop plain(spec);
  int64_t number = 0;
  const auto own_step = [&] { step.Run(images, labels, slots, batch, number++); };
  const auto plain_step = [&] { plain.Step(images, labels); };
  // Steps of both, in turn, so that they meet the same machine.
  std::vector<double> own_seconds, plain_seconds;
  const auto run_steps = [&] {
    double own_total = 0;
    OnComputeThread(spec.compute_threads(), [&] {
      own_step();
      plain_step();
      for (int i = 0; i < kSteps / 2; ++i) {
        own_seconds.push_back(Seconds(own_step));
        plain_seconds.push_back(Seconds(plain_step));
        own_total += own_seconds.back();
      }
    });
    return batch * (kSteps / 2) / own_total;  // images per second
  };
  std::vector<double> end_to_end, e2e_ratio, waits;
  for (int round = 0; round < rounds; ++round) {
    // Before and after, so that a steady drift cancels out.
    const double before = run_steps();
    StepTimer timer(kWarmup);
    end_to_end.push_back(TrainEndToEnd(resolved, environment, scratch / "speed", &timer));
    waits.push_back(timer.wait_part());
    e2e_ratio.push_back(end_to_end.back() / ((before + run_steps()) / 2));
  }
  std::printf("  trainer end to end        %8.1f images/s  (waiting for data %.1f %%)\n",
              Median(end_to_end), 100 * Median(waits));
  std::printf("  its step, data in memory  %8.1f images/s\n", batch / Median(own_seconds));
  std::printf("  plain LibTorch loop       %8.1f images/s\n", batch / Median(plain_seconds));
  std::printf("  end to end / in memory    %8.3f          (goal 0.97)\n", Median(e2e_ratio));
  std::printf("  step / plain loop         %8.3f          (goal above 1)\n",
              Median(plain_seconds) / Median(own_seconds));
}

void MeasureCheckpoint(const fs::path& scratch) {
  TrainingEnvironment environment;
  environment.budget = *ComputeBudget::Create(0);
  ResolvedSpec resolved = Resolve("cifar10_base", environment, 14);
  resolved.spec.mutable_checkpoint()->set_every_steps(2);
  StepTimer timer(1);
  TrainEndToEnd(resolved, environment, scratch / "checkpoint", &timer);
  std::printf(
      "cifar10_base: a checkpoint holds training up for %.1f ms (median of %zu; written beside it "
      "in %.0f ms; goal under 50)\n",
      Median(timer.hold_ups_ms), timer.hold_ups_ms.size(), Median(timer.writes_ms));
}

}  // namespace
}  // namespace vit::bench

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  int rounds = 5;
  if (argc > 1 && (!absl::SimpleAtoi(argv[1], &rounds) || rounds < 1)) {
    std::fprintf(stderr, "usage: training_bench [ROUNDS] [PRESET]\n");
    return 2;
  }
  const auto scratch =
      std::filesystem::temp_directory_path() / ("training_bench." + std::to_string(getpid()));
  vit::bench::CompareSpeed(rounds, argc > 2 ? argv[2] : "cifar10_small", scratch);
  vit::bench::MeasureCheckpoint(scratch);
  std::filesystem::remove_all(scratch);
}
