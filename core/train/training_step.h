// One optimizer update: forward, loss, backward, clipping, update.
#ifndef VIT_CORE_TRAIN_TRAINING_STEP_H_
#define VIT_CORE_TRAIN_TRAINING_STEP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "core/model/vision_transformer.h"
#include "core/train/optim/averaging.h"
#include "core/train/optim/optimizer.h"
#include "core/train/optim/schedule.h"
#include "core/train/recipe/examples.h"
#include "core/train/recipe/loss.h"
#include "core/train/recipe/teacher.h"
#include "vit/v1/training.pb.h"

namespace vit {

// The version of this program's rounding on the CPU. A change that makes a step give other values,
// with the same processor, LibTorch and threads, raises it: earlier runs then continue inexactly.
inline constexpr int kArithmetic = 2;

// Owns the flat parameters, the optimizer and the averages of a model, and the sums between two
// points of the history. Only the functions that return host numbers wait for the device. Not
// thread-safe.
class TrainingStep {
 public:
  // `spec`: effective. `model` is on its device, initialised, and must outlive this; its parameters
  // become views of flat storage. `teacher`: for the spec's distillation, null if there is none;
  // must outlive this.
  TrainingStep(const vit::v1::TrainingSpec& spec, VisionTransformerImpl* model,
               const StepCounts& steps, Teacher* teacher = nullptr);

  // Runs update `step` (from 0): the gradient of the loss over the images, mixed with each other as
  // the spec says, micro-batch by micro-batch, clipped to clip_grad_norm. `images`: [count, 3, S,
  // S], normalised; `labels`: [count]; both on the device. `slots`: the place of each image in a
  // batch of `batch_size`; at least one. If the loss or the gradient is not finite, nothing is
  // updated. Calls `give_way` before each micro-batch.
  void Run(
      const at::Tensor& images, const at::Tensor& labels, const std::vector<int>& slots,
      int batch_size, int64_t step, absl::FunctionRef<void()> give_way = [] {});

  // Runs update `step` for a batch without readable images.
  void SkipEmpty(int64_t step) { averages_.Update(step); }

  // The learning rate of update `step`, before the multipliers of parameter groups.
  double LearningRateAt(int64_t step) const;

  // Sums over the images since ResetSums. The getters wait for the device.
  double LossSum() const { return loss_sum_.item<double>(); }
  int64_t Correct() const { return correct_.item<int64_t>(); }
  void SetSums(double loss_sum, int64_t correct);
  void ResetSums() { SetSums(0, 0); }

  // Norm of the last update's gradient, before clipping. Waits for the device.
  double GradNorm() const { return grad_norm_.item<double>(); }
  // The first update whose loss or gradient was not finite. Waits for the device.
  std::optional<int64_t> FirstBadStep() const;

  Optimizer& optimizer() { return *optimizer_; }
  WeightAverages& averages() { return averages_; }

 private:
  // What a micro-batch adds to the update's loss, and its scores for counting correct answers:
  // [micro, K].
  struct Forward {
    at::Tensor loss, scores;
  };
  Forward RunForward(const at::Tensor& images, const Targets& targets, const at::Tensor& weight,
                     int64_t count);
  void SeedDropout(int micro_batch, int64_t step);
  void Update(const at::Tensor& loss, int64_t step);

  const vit::v1::TrainingSpec& spec_;
  VisionTransformerImpl* const model_;
  Teacher* const teacher_;
  const StepCounts steps_;
  const std::optional<SwaSteps> swa_;
  const c10::Device device_;
  const bool has_dropout_;
  const Loss loss_;
  std::vector<ParameterGroup> groups_;
  std::unique_ptr<Optimizer> optimizer_;
  WeightAverages averages_;
  at::Tensor loss_sum_, correct_;  // float64, int64
  at::Tensor bad_step_;            // -1 for none
  at::Tensor grad_norm_;
};

}  // namespace vit

#endif  // VIT_CORE_TRAIN_TRAINING_STEP_H_
