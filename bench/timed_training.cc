#include "bench/timed_training.h"

#include <utility>

#include "core/base/compute_budget.h"
#include "proto/spec_text.h"

namespace vit::bench {

ResolvedSpec Resolve(const std::string& preset, const std::vector<std::string>& assignments,
                     const TrainingEnvironment& environment, int steps) {
  vit::v1::TrainingSpec spec;
  for (const std::string& assignment : assignments) {
    if (const absl::Status set = SetField(assignment, &spec); !set.ok()) {
      std::fprintf(stderr, "%s\n", set.ToString().c_str());
      std::exit(2);
    }
  }
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
                     const std::filesystem::path& directory, StepTimer* timer) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
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

}  // namespace vit::bench
