// Averages of the weights over the training: EMA and SWA. Only for the rooms that compute.
#ifndef VIT_CORE_TRAIN_OPTIM_AVERAGING_H_
#define VIT_CORE_TRAIN_OPTIM_AVERAGING_H_

#include <torch/nn/module.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/train/optim/optimizer.h"
#include "vit/v1/training.pb.h"

namespace vit {

// When SWA takes the weights in: after update start + period, start + 2 period, ...
struct SwaSteps {
  int64_t start = 0;
  int64_t period = 1;
  int64_t anneal = 0;  // updates in which the learning rate goes to SWA's
};
// Of an effective config; none where SWA is off.
std::optional<SwaSteps> SwaStepsOf(const vit::v1::AveragingConfig& config, int64_t steps_per_epoch);

// The learning rate of update `step` (from 0) where the schedule says `scheduled`.
double SwaLearningRate(const vit::v1::AveragingConfig& config, const SwaSteps& swa,
                       double scheduled, int64_t step);

// EMA's decay at update `step` (from 0).
double EmaDecay(const vit::v1::AveragingConfig& config, int64_t step);

// Keeps the averages that the config asks for, of a module's parameters and of its running
// statistics, and puts them in the weights' place for evaluation and checkpoints. Waits for no
// device. Not thread-safe.
class WeightAverages {
 public:
  // `config`: effective. `groups` hold the module's trained parameters (FlattenParameters); both
  // must outlive this. The averages begin at the weights as they are.
  WeightAverages(const vit::v1::AveragingConfig& config, int64_t steps_per_epoch,
                 torch::nn::Module* module, std::vector<ParameterGroup>* groups);

  // After update `step` (from 0).
  void Update(int64_t step);

  // Puts the average that counts after `steps_done` updates into the module, in the weights' place,
  // until this goes; nothing where there is none.
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

  // What a checkpoint keeps besides the weights that are InUse: views of live state, in a fixed
  // order: "weights.<name>", "ema.<name>", "swa.<name>". Empty where nothing is averaged.
  NamedTensors State() const;
  // Copies it back. INVALID_ARGUMENT names a tensor that is missing or of another shape.
  absl::Status LoadState(const std::map<std::string, at::Tensor>& state);

 private:
  // The flat storage of a kind of weights: one tensor for each group, then one for each buffer.
  using Flat = std::vector<at::Tensor>;
  Flat Live() const;
  void Point(const Flat& weights);
  // The average that counts after `steps_done` updates; empty where none does.
  const Flat& Counting(int64_t steps_done) const;
  void AppendAll(const std::string& prefix, const Flat& flat, NamedTensors* out) const;

  const vit::v1::AveragingConfig config_;
  const std::optional<SwaSteps> swa_;
  std::vector<ParameterGroup>& groups_;
  std::vector<std::vector<at::Tensor>> parameters_;  // of each group's members
  std::vector<std::pair<std::string, at::Tensor>> buffers_;
  std::vector<at::Tensor> live_buffers_;  // the storage that training writes
  Flat ema_average_, swa_average_;        // empty where off
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_OPTIM_AVERAGING_H_
