// Times training on generated images; shared by the training benchmarks.
#ifndef VIT_BENCH_TIMED_TRAINING_H_
#define VIT_BENCH_TIMED_TRAINING_H_

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/train/trainer.h"

namespace vit::bench {

// Measures the trainer's steps after the first ones. Waits for the device before the first and
// after the last of them.
class StepTimer : public TrainObserver {
 public:
  // Steps warmup + 1 to `last`.
  StepTimer(int64_t warmup, int64_t last, const Device& device)
      : warmup_(warmup), last_(last), device_(device) {}
  void OnPhase(const std::string&, double) override {}
  void OnStep(const Step& step) override {
    if (step.step == warmup_ || step.step == last_) AwaitDevice();
    if (step.step == warmup_) start_ = absl::Now();
    if (step.step <= warmup_ || step.step > last_) return;
    samples_ += step.samples;
    end_ = absl::Now();
    if (step.checkpoint > absl::ZeroDuration()) {
      hold_ups_ms.push_back(absl::ToDoubleMilliseconds(step.checkpoint));
    }
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
  void AwaitDevice() const;

  const int64_t warmup_, last_;
  const Device device_;
  absl::Time start_, end_;
  int64_t samples_ = 0;
  absl::Duration wait_;
};

// Resolves `preset` with `assignments` ("field=value") on `shapes:`, for `steps` of training; ends
// the program if they do not fit.
ResolvedSpec Resolve(const std::string& preset, const std::vector<std::string>& assignments,
                     const TrainingEnvironment& environment, int steps);

// Runs `body` on a thread that computes with `threads`.
void OnComputeThread(int threads, const std::function<void()>& body);

// Returns images per second of the trainer, from loading to the update, after the timer's first
// steps. Recreates `directory`.
double TrainEndToEnd(const ResolvedSpec& resolved, const TrainingEnvironment& environment,
                     const std::filesystem::path& directory, StepTimer* timer);

// Returns images per second of `steps` updates on one batch that is already on the device.
double TrainInMemory(const vit::v1::TrainingSpec& spec, const Device& device, int steps);

}  // namespace vit::bench

#endif  // VIT_BENCH_TIMED_TRAINING_H_
