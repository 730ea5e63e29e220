// Averages of the weights over the training: EMA and SWA.
#ifndef VIT_CORE_TRAIN_OPTIM_AVERAGING_H_
#define VIT_CORE_TRAIN_OPTIM_AVERAGING_H_

#include <torch/nn/module.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/compute/named_tensors.h"
#include "core/train/optim/optimizer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// When SWA adds the weights to its average: after update start + period, start + 2 period, ...
struct SwaSteps {
  int64_t start = 0;
  int64_t period = 1;
  int64_t anneal = 0;  // updates in which the learning rate moves to SWA's
};
// Returns the steps of an effective config; none if SWA is off.
std::optional<SwaSteps> SwaStepsOf(const vit::v1::AveragingConfig& config, int64_t steps_per_epoch);

// Returns the learning rate of update `step` (from 0) if the schedule says `scheduled`.
double SwaLearningRate(const vit::v1::AveragingConfig& config, const SwaSteps& swa,
                       double scheduled, int64_t step);

// Returns EMA's decay at update `step` (from 0).
double EmaDecay(const vit::v1::AveragingConfig& config, int64_t step);

// Keeps the averages that the config asks for, of a module's parameters and running statistics, and
// puts them in the place of the weights for evaluation and checkpoints. Never waits for the device.
// Not thread-safe.
class WeightAverages {
 public:
  // `config`: effective. `groups` hold the module's trained parameters (FlattenParameters); both
  // must outlive this. The averages begin at the current weights.
  WeightAverages(const vit::v1::AveragingConfig& config, int64_t steps_per_epoch,
                 torch::nn::Module* module, std::vector<ParameterGroup>* groups);

  // Call this after update `step` (from 0).
  void Update(int64_t step);

  // While it lives, the average that counts after `steps_done` updates takes the place of the
  // weights in the module. Does nothing if there is none.
  class InUse {
   public:
    InUse(WeightAverages* averages, int64_t steps_done);
    ~InUse();
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;

   private:
    WeightAverages* const averages_;
    bool swapped_;
  };

  // Returns what a checkpoint keeps besides the weights that are InUse: views of live state, in a
  // fixed order: "weights.<name>", "ema.<name>", "swa.<name>". Empty if nothing is averaged.
  NamedTensors State() const;
  // Copies the state back. INVALID_ARGUMENT names a tensor that is missing or has another shape.
  absl::Status LoadState(const TensorMap& state);

 private:
  // The flat storage of one kind of weights: one tensor per group, then one per buffer.
  using Flat = std::vector<at::Tensor>;
  Flat Live() const;
  void Point(const Flat& weights);
  // Returns the average that counts after `steps_done` updates; empty if there is none.
  const Flat& Counting(int64_t steps_done) const;
  void AppendAll(const std::string& prefix, const Flat& flat, NamedTensors* out) const;

  const vit::v1::AveragingConfig config_;
  const std::optional<SwaSteps> swa_;
  std::vector<ParameterGroup>& groups_;
  std::vector<std::vector<at::Tensor>> parameters_;  // of each group's members
  NamedTensors buffers_;
  std::vector<at::Tensor> live_buffers_;  // the storage that training writes
  Flat ema_average_, swa_average_;        // empty if off
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_AVERAGING_H_
