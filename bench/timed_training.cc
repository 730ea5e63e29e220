#include "bench/timed_training.h"

#include <torch/torch.h>

#include <numeric>
#include <utility>

#include "core/base/compute/compute_budget.h"
#include "core/base/compute/torch_device.h"
#include "core/train/plan_run.h"
#include "core/train/training_step.h"
#include "proto/set_field.h"

namespace vit::bench {

void StepTimer::AwaitDevice() const { vit::AwaitDevice(TorchDevice(device_)); }

ResolvedSpec Resolve(const std::string& preset, const std::vector<std::string>& assignments,
                     const TrainingEnvironment& environment, int steps) {
  vit::v1::TrainingSpec spec;
  spec.mutable_data()->set_source("shapes:");
  spec.mutable_data()->mutable_shapes()->set_train_size(5000);
  spec.mutable_data()->mutable_shapes()->set_val_size(10);
  spec.set_max_steps(steps);
  spec.mutable_checkpoint()->set_every_steps(0);
  spec.mutable_schedule()->set_warmup_steps(1);
  spec.set_log_every_steps(20);
  for (const std::string& assignment : assignments) {
    if (const absl::Status set = SetField(assignment, &spec); !set.ok()) {
      std::fprintf(stderr, "%s\n", set.ToString().c_str());
      std::exit(2);
    }
  }
  auto resolved = PlanRun(preset, spec, environment);
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

double TrainInMemory(const vit::v1::TrainingSpec& spec, const Device& device, int steps) {
  double images_per_second = 0;
  OnComputeThread(spec.compute_threads(), [&] {
    const c10::Device where = TorchDevice(device);
    const int64_t batch = spec.batch_size(), side = spec.model().image_size();
    VisionTransformer model(spec.model());
    model->Initialize(1);
    model->to(where);
    model->train();
    TrainingStep step(spec, model.get(), {.per_epoch = 1000, .warmup = 1, .total = 1'000'000});
    const at::Tensor images = at::randn({batch, 3, side, side}).to(where);
    const at::Tensor labels = at::arange(batch).remainder(spec.model().num_classes()).to(where);
    std::vector<int> slots(batch);
    std::iota(slots.begin(), slots.end(), 0);
    constexpr int kWarmup = 3;
    absl::Time start;
    for (int i = 0; i < kWarmup + steps; ++i) {
      if (i == kWarmup) {
        AwaitDevice(where);
        start = absl::Now();
      }
      step.Run(images, labels, slots, static_cast<int>(batch), i);
    }
    AwaitDevice(where);
    images_per_second =
        static_cast<double>(batch) * steps / absl::ToDoubleSeconds(absl::Now() - start);
  });
  return images_per_second;
}

}  // namespace vit::bench
