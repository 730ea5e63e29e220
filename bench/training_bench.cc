// Training speed, as ratios in one run: the trainer end to end against its own step on data in
// memory, that step against the plain LibTorch loop, and how long a checkpoint delays training. The
// compared parts alternate, so that a machine whose speed drifts slows both sides.
//
//   training_bench [ROUNDS] [PRESET] [FIELD=VALUE...]     (default 5 rounds of cifar10_small)
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
#include "bench/timed_training.h"
#include "core/base/file.h"
#include "core/model/normalize.h"
#include "core/train/optim/schedule.h"
#include "core/train/training_step.h"

namespace vit::bench {
namespace {

namespace fs = std::filesystem;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double Seconds(const std::function<void()>& function) {
  const absl::Time start = absl::Now();
  function();
  return absl::ToDoubleSeconds(absl::Now() - start);
}

void CompareSpeed(int rounds, const std::string& preset,
                  const std::vector<std::string>& assignments, const fs::path& scratch) {
  constexpr int kSteps = 30, kWarmup = 8;
  TrainingEnvironment environment;
  environment.budget = *ComputeBudget::Create(0);
  const ResolvedSpec resolved = Resolve(preset, assignments, environment, kSteps + kWarmup + 1);
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
    return 0.5 * batch * kSteps / own_total;  // images per second
  };
  std::vector<double> end_to_end, e2e_ratio, waits;
  for (int round = 0; round < rounds; ++round) {
    // Before and after, so that a steady drift cancels out.
    const double before = run_steps();
    StepTimer timer(kWarmup, kWarmup + kSteps + 1, environment.device);
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
  constexpr int kSteps = 14;
  TrainingEnvironment environment;
  environment.budget = *ComputeBudget::Create(0);
  ResolvedSpec resolved = Resolve("cifar10_base", {}, environment, kSteps);
  resolved.spec.mutable_checkpoint()->set_every_steps(2);
  StepTimer timer(1, kSteps, environment.device);
  TrainEndToEnd(resolved, environment, scratch / "checkpoint", &timer);
  std::printf(
      "cifar10_base: a checkpoint delays training by %.1f ms (median of %zu; written beside it "
      "in %.0f ms; goal under 50)\n",
      Median(timer.hold_ups_ms), timer.hold_ups_ms.size(), Median(timer.writes_ms));
}

}  // namespace
}  // namespace vit::bench

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  int rounds = 5;
  if (argc > 1 && (!absl::SimpleAtoi(argv[1], &rounds) || rounds < 1)) {
    std::fprintf(stderr, "usage: training_bench [ROUNDS] [PRESET] [FIELD=VALUE...]\n");
    return 2;
  }
  const auto scratch =
      std::filesystem::temp_directory_path() / ("training_bench." + std::to_string(getpid()));
  const std::vector<std::string> assignments(argv + std::min(argc, 3), argv + argc);
  vit::bench::CompareSpeed(rounds, argc > 2 ? argv[2] : "cifar10_small", assignments, scratch);
  if (assignments.empty()) vit::bench::MeasureCheckpoint(scratch);
  std::filesystem::remove_all(scratch);
}
