// How fast the trainer trains, from loading to the update; compare_training.py puts others beside
// it.
//
//   training_speed STEPS PRESET [FIELD=VALUE...]
//
// prints images per second over STEPS updates, after 4 that warm up, and the memory at its peak.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "bench/timed_training.h"
#include "core/base/compute_budget.h"

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  constexpr int kWarmup = 4;
  int steps = 0;
  if (argc < 3 || !absl::SimpleAtoi(argv[1], &steps) || steps < 1) {
    std::fprintf(stderr, "usage: training_speed STEPS PRESET [FIELD=VALUE...]\n");
    return 2;
  }
  vit::TrainingEnvironment environment;
  environment.budget = *vit::ComputeBudget::Create(0);
  // One more, so that the last evaluation and checkpoint are not timed.
  const vit::ResolvedSpec resolved =
      vit::bench::Resolve(argv[2], {argv + 3, argv + argc}, environment, steps + kWarmup + 1);
  const auto scratch =
      std::filesystem::temp_directory_path() / ("training_speed." + std::to_string(getpid()));
  vit::bench::StepTimer timer(kWarmup, kWarmup + steps);
  const double speed = vit::bench::TrainEndToEnd(resolved, environment, scratch, &timer);
  std::filesystem::remove_all(scratch);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%.1f images/s, peak memory %ld MB\n", speed, usage.ru_maxrss / 1000);
}
