// Measures the trainer's speed, from loading to the update; compare_training.py and
// scripts/check-gpu compare it with others.
//
//   training_speed [--device DEVICE] STEPS PRESET [FIELD=VALUE...]
//
// prints, for STEPS updates after 4 to warm up: images per second end to end and of the step on
// data in memory, the part of the time spent waiting for data, the multiplications and additions of
// an image's forward pass, and the process' peak memory.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/timed_training.h"
#include "core/base/compute/compute_budget.h"
#include "core/base/compute/device.h"
#include "core/model/model_config.h"

int main(int argc, char** argv) {
  vit::PrepareComputeProcess(argv);
  constexpr int kWarmup = 4;
  CLI::App app("Measures training.");
  std::string device_name = "cpu", preset;
  int steps = 0;
  std::vector<std::string> assignments;
  app.add_option("--device", device_name, "cpu, cuda or cuda:N");
  app.add_option("STEPS", steps)->required()->check(CLI::Range(1, 100000));
  app.add_option("PRESET", preset)->required();
  app.add_option("FIELD=VALUE", assignments);
  CLI11_PARSE(app, argc, argv);
  const auto device = vit::Device::Parse(device_name);
  absl::Status status = device.status();
  if (status.ok()) status = device->Start();
  if (!status.ok()) {
    std::fprintf(stderr, "training_speed: %s\n", status.ToString().c_str());
    return 1;
  }
  vit::TrainingEnvironment environment;
  environment.device = *device;
  environment.budget = *vit::ComputeBudget::Create(0);
  // One more, so that the last evaluation and checkpoint are not timed.
  const vit::ResolvedSpec resolved =
      vit::bench::Resolve(preset, assignments, environment, steps + kWarmup + 1);
  const auto scratch =
      std::filesystem::temp_directory_path() / ("training_speed." + std::to_string(getpid()));
  vit::bench::StepTimer timer(kWarmup, kWarmup + steps, *device);
  const double speed = vit::bench::TrainEndToEnd(resolved, environment, scratch, &timer);
  std::filesystem::remove_all(scratch);
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const double in_memory = vit::bench::TrainInMemory(resolved.spec, *device, steps);
  std::printf("end_to_end=%.1f step=%.1f data_wait=%.4f forward_flops=%.0f peak_host_mb=%ld\n",
              speed, in_memory, timer.wait_part(), vit::ForwardFlops(resolved.spec.model()),
              usage.ru_maxrss / 1000);
}
