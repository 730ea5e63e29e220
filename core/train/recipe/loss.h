// The loss that training minimises.
#ifndef VIT_CORE_TRAIN_RECIPE_LOSS_H_
#define VIT_CORE_TRAIN_RECIPE_LOSS_H_

#include <ATen/core/Tensor.h>

#include "vit/v1/training.pb.h"

namespace vit {

// The targets of B images.
struct Targets {
  at::Tensor labels;  // [B], int64
  // Soft labels, [B, K], float32: the parts of the classes in mixed images, each row of sum 1.
  // Undefined if no image is mixed.
  at::Tensor parts;

  Targets Slice(int64_t begin, int64_t end) const;
};

// Returns [B, K], float32: 1 at each label, else 0. Unlike at::one_hot, it does not read the labels
// on the host.
at::Tensor OneHot(const at::Tensor& labels, int num_classes);

// The loss of a micro-batch as a part of its update's. With targets t, smoothed by s to
// (1 - s) t + s / K, class weights w and p the softmax of the scores, the loss of an image is
//   cross entropy         -sum_c w_c t_c log p_c
//   focal                 -sum_c w_c t_c (1 - p_c)^gamma log p_c
//   binary cross entropy  -1/K sum_c w_c (t_c log q_c + (1 - t_c) log(1 - q_c)), q the sigmoid
// The loss of an update is their sum, divided by the sum of the images' weights, sum_c w_c t_c
// before smoothing: the mean of torch.nn.CrossEntropyLoss(weight, label_smoothing). With a hardest
// fraction, the loss of a micro-batch is the weighted mean over that fraction, which counts as much
// as the whole micro-batch would.
class Loss {
 public:
  // `config`: effective, for K classes.
  Loss(const vit::v1::LossConfig& config, double label_smoothing, int num_classes,
       c10::Device device);

  // Returns the sum of the images' weights, a scalar on the device, without waiting for it.
  at::Tensor Weight(const Targets& targets) const;

  // Returns the part of a micro-batch: the sum over an update's micro-batches, divided by the
  // update's Weight, is the update's loss. `logits`: [B, K], float32. Differentiable.
  at::Tensor Sum(const at::Tensor& logits, const Targets& targets) const;

 private:
  at::Tensor OfImages(const at::Tensor& logits, const Targets& targets) const;  // [B]
  at::Tensor WeightOfImages(const Targets& targets) const;                      // [B]
  at::Tensor Smoothed(const Targets& targets) const;                            // [B, K]

  const vit::v1::LossConfig config_;
  const double label_smoothing_;
  const int num_classes_;
  at::Tensor class_weights_;  // [K]; undefined if all are 1
};

// Returns the sum over the images of what a student (logits [B, K], differentiable) learns from a
// teacher (logits of the same shape). `config`: effective.
at::Tensor DistillationSum(const vit::v1::DistillationConfig& config, const at::Tensor& student,
                           const at::Tensor& teacher);

}  // namespace vit

#endif  // VIT_CORE_TRAIN_RECIPE_LOSS_H_
